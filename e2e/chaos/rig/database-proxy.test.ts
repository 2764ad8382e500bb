import { Client } from "pg";
import { expect, onTestFinished, test } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { startDatabaseProxy } from "./database-proxy.ts";
import type { CommitFault } from "./database-proxy.ts";

const database = withDatabase({ from: "empty" });

/** Returns how COMMIT ended for its client, and whether it stands. */
async function commitThrough(fault: CommitFault): Promise<{ outcome: string; stands: boolean }> {
  const proxy = await startDatabaseProxy({
    databaseUrl: database.url,
    delayMs: 20,
    halfOpenMs: 50,
  });
  onTestFinished(() => proxy.stop());
  const direct = database.pool();
  await direct.query("create table if not exists proxied (fault text)");
  const client = new Client({ connectionString: proxy.url });
  client.on("error", () => undefined);
  await client.connect();
  await client.query("begin");
  await client.query("insert into proxied values ($1)", [fault]);
  proxy.arm(fault);
  const outcome = await client.query("commit").then(
    ({ command }) => command,
    () => "no answer",
  );
  await client.end().catch(() => undefined);
  expect(proxy.struck()[fault]).toBe(1);
  const { rowCount } = await direct.query("select from proxied where fault = $1", [fault]);
  return { outcome, stands: rowCount === 1 };
}

test("a COMMIT that is lost on its way does not stand, one whose answer is lost does, and both look the same", async () => {
  expect(await commitThrough("drop-request")).toEqual({ outcome: "no answer", stands: false });
  expect(await commitThrough("drop-answer")).toEqual({ outcome: "no answer", stands: true });
});

test("a COMMIT that is late stands, one on a line that is half open does not", async () => {
  expect(await commitThrough("delay")).toEqual({ outcome: "COMMIT", stands: true });
  expect(await commitThrough("half-open")).toEqual({ outcome: "no answer", stands: false });
});

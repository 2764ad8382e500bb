import { Client } from "pg";
import { describe, expect, onTestFinished, test } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { startDatabaseProxy } from "./database-proxy.ts";
import type { CommitFault } from "./database-proxy.ts";

const database = withDatabase({ from: "empty" });

/** Returns how COMMIT ended for its client, and whether it stands. */
async function commitThrough(
  fault: CommitFault,
  isPrepared: boolean,
): Promise<{ outcome: string; stands: boolean }> {
  const proxy = await startDatabaseProxy({
    databaseUrl: database.url,
    delayMs: 20,
    halfOpenMs: 50,
  });
  onTestFinished(() => proxy.stop());
  const direct = database.pool();
  await direct.query("create table if not exists proxied (fault text)");
  await direct.query("truncate proxied");
  const client = new Client({ connectionString: proxy.url });
  client.on("error", () => undefined);
  await client.connect();
  const commit = { text: "commit", ...(isPrepared ? { name: "commit" } : {}) };
  // Afterwards a prepared COMMIT is bound by its name, without its text.
  if (isPrepared) await client.query(commit);
  await client.query("begin");
  await client.query("insert into proxied values ($1)", [fault]);
  proxy.arm(fault);
  const outcome = await client.query(commit).then(
    ({ command }) => command,
    () => "no answer",
  );
  await client.end().catch(() => undefined);
  expect(proxy.struck()[fault]).toBe(1);
  const { rowCount } = await direct.query("select from proxied where fault = $1", [fault]);
  return { outcome, stands: rowCount === 1 };
}

describe.each([
  ["that is sent as a text", false],
  ["that is prepared", true],
])("a COMMIT %s", (_how, isPrepared) => {
  test("does not stand if it is lost on its way, stands if its answer is lost, and both look the same", async () => {
    const lost = { outcome: "no answer" };
    expect(await commitThrough("drop-request", isPrepared)).toEqual({ ...lost, stands: false });
    expect(await commitThrough("drop-answer", isPrepared)).toEqual({ ...lost, stands: true });
  });

  test("stands if it is late, and not if it meets a line that is half open", async () => {
    expect(await commitThrough("delay", isPrepared)).toEqual({ outcome: "COMMIT", stands: true });
    const lost = { outcome: "no answer", stands: false };
    expect(await commitThrough("half-open", isPrepared)).toEqual(lost);
  });
});

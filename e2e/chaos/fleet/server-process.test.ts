import { expect, onTestFinished, test } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { makeFolder } from "@oncekey/test-support/postgres/binaries";
import { startReaper } from "@oncekey/test-support/processes/reaper";
import { startServer } from "./server-process.ts";
import type { ServerProcess } from "./server-process.ts";

const database = withDatabase();

test("a server that is killed while it is asked what it holds answers when it is back", async () => {
  const server = await start();
  for (let times = 0; times < 3; times += 1) {
    const answer = server.inspect();
    server.signal("SIGKILL");
    expect(await answer).toMatchObject({ handles: expect.any(Number) });
    await server.up();
  }
});

test("a stopped server gives no answer, and one when it goes on", async () => {
  const server = await start();
  server.signal("SIGSTOP");
  expect(await server.inspect(500)).toBeUndefined();
  server.signal("SIGCONT");
  expect(await server.inspect()).toMatchObject({ handles: expect.any(Number) });
});

async function start(): Promise<ServerProcess> {
  const reaper = startReaper(await makeFolder("oncekey-rig-"));
  const { url } = database;
  const server = startServer({ name: "A", databaseUrl: url, outsideUrl: url, reaper });
  onTestFinished(async () => {
    await server.stop();
    await reaper.stop();
  });
  await server.up();
  return server;
}

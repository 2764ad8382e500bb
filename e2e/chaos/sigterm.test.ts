/**
 * SIGTERM, as in every deployment: a server finishes running requests, admits no new one, and
 * leaves nothing held.
 */
import { migrate } from "@oncekey/server";
import type { Pool } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { makeFolder } from "@oncekey/test-support/postgres/binaries";
import { findProcess } from "@oncekey/test-support/processes/processes";
import { startReaper } from "@oncekey/test-support/processes/reaper";
import type { Reaper } from "@oncekey/test-support/processes/reaper";
import {
  countEffects,
  FINGERPRINT_HEADER,
  OPERATION_HEADER,
  SCOPE_HEADER,
} from "../shop/effects.ts";
import { post as send } from "../shop/request.ts";
import type { Answer } from "../shop/request.ts";
import { startServer } from "./fleet/server-process.ts";
import type { ServerProcess } from "./fleet/server-process.ts";
import { createTables } from "./fleet/tables.ts";

// Ends only what hangs.
const HELD_MS = 600_000;

const database = withDatabase({ from: "empty" });
let pool: Pool;
let reaper: Reaper;
let leaving: ServerProcess;
let staying: ServerProcess;

beforeAll(async () => {
  pool = database.pool({ max: 3 });
  await migrate(pool);
  await createTables(pool);
  // The handler that is held is idle in its transaction, for as long as the test needs.
  await pool.query(`do $$ begin
    execute format('alter database %I set idle_in_transaction_session_timeout = 0', current_database());
  end $$`);
  reaper = startReaper(await makeFolder("oncekey-rig-"));
  const plan = {
    databaseUrl: database.url,
    outsideUrl: database.url,
    reaper,
    maxHandlerMs: HELD_MS,
  };
  leaving = startServer({ ...plan, name: "leaving" });
  staying = startServer({ ...plan, name: "staying" });
  await Promise.all([leaving.up(), staying.up()]);
});
afterAll(async () => {
  await Promise.all([leaving.stop(), staying.stop()]);
  await reaper.stop();
});

test.each(["/advisory/replay", "/lease-fail/replay"])(
  "SIGTERM while a handler of %s runs: it is finished and stored, no other request is let in, and every connection is given back",
  async (path) => {
    await leaving.up();
    const [pid, port] = [leaving.pid() ?? 0, leaving.port() ?? 0];
    const key = crypto.randomUUID();
    const { held, letGo } = await leaving.holdHandlers();
    const first = post(port, path, key);
    await held;
    process.kill(pid, "SIGTERM");
    await expect.poll(() => isRefused(port, path)).toBe(true);
    if (path.startsWith("/lease")) {
      const until = await leaseOf(key);
      await expect.poll(() => leaseOf(key)).toBeGreaterThan(until);
    }
    expect((await post(staying.port() ?? 0, path, key)).status).toBe(409);

    letGo();
    const answer = await first;
    expect([answer.status, answer.isReplayed]).toEqual([201, false]);
    // It gives its connections back before it goes, and goes only then.
    await expect.poll(() => findProcess(pid)).toBe(undefined);
    expect(await leaseOf(key)).toBe(0);
    const again = await post(staying.port() ?? 0, path, key);
    expect(again).toEqual({ ...answer, isReplayed: true });
    expect(await countEffects(pool, key)).toBe(1);
  },
);

/** When the lease of a key ends, as a number; 0 where it has none. */
async function leaseOf(key: string): Promise<number> {
  const { rows } = await pool.query<{ until: number }>(
    `select coalesce(extract(epoch from max(lease_until)), 0)::float8 as until
     from oncekey.records where key = $1`,
    [key],
  );
  return rows[0]?.until ?? 0;
}

/** A request that comes now. One that still gets in has nothing to write, so that it does not wait. */
async function isRefused(port: number, path: string): Promise<boolean> {
  const answer = await post(port, path, crypto.randomUUID(), "decline").catch(() => undefined);
  return answer === undefined || answer.status === 503;
}

async function post(port: number, path: string, key: string, deed = "charge"): Promise<Answer> {
  const headers = {
    [SCOPE_HEADER]: "scope-0",
    [OPERATION_HEADER]: key,
    [FINGERPRINT_HEADER]: "same",
  };
  const json = { deed, amount: 1, workMs: 0 };
  const [answer] = await send(`http://127.0.0.1:${port}${path}`, { key, json, headers });
  return answer;
}

/**
 * A server can be stopped around the commit that stores a response, and the database's state then
 * matches the boundary.
 */
import { migrate } from "@oncekey/server";
import type { Pool } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { makeFolder } from "@oncekey/test-support/postgres/binaries";
import { startReaper } from "@oncekey/test-support/processes/reaper";
import type { Reaper } from "@oncekey/test-support/processes/reaper";
import {
  countEffects,
  FINGERPRINT_HEADER,
  OPERATION_HEADER,
  SCOPE_HEADER,
} from "../../shop/effects.ts";
import { post } from "../../shop/request.ts";
import { policyOf } from "../protocol/routes.ts";
import { startServer } from "../fleet/server-process.ts";
import type { ServerProcess } from "../fleet/server-process.ts";
import { createTables } from "../fleet/tables.ts";

const database = withDatabase({ from: "empty" });
const PATIENCE_MS = 10_000;
const SERVERS = ["A", "B"] as const;
let pool: Pool;
let reaper: Reaper;
let servers: Record<(typeof SERVERS)[number], ServerProcess>;

beforeAll(async () => {
  pool = database.pool({ max: 2 });
  await migrate(pool);
  await createTables(pool);
  reaper = startReaper(await makeFolder("oncekey-rig-"));
  const plan = { databaseUrl: database.url, outsideUrl: database.url, reaper };
  servers = {
    A: startServer({ ...plan, name: "A" }),
    B: startServer({ ...plan, name: "B", isPipelined: true }),
  };
  await Promise.all(Object.values(servers).map((server) => server.up()));
});
afterAll(async () => {
  await Promise.all(Object.values(servers).map((server) => server.stop()));
  await reaper.stop();
});

const STANDS = { S5: false, S6: true, S7: true } as const;
const PLACES = SERVERS.flatMap((name) =>
  (Object.keys(STANDS) as (keyof typeof STANDS)[]).flatMap((boundary) =>
    ["/advisory/replay", "/lease-fail/replay"].map((path) => ({ name, boundary, path })),
  ),
);

test.each(PLACES)(
  "server $name is stopped at $boundary of $path, where its response is stored or not as that boundary says",
  async ({ name, boundary, path }) => {
    const server = servers[name];
    const key = crypto.randomUUID();
    // Its connections are there by now, opened by requests of another strategy.
    expect(await pay(server, "/row/replay", crypto.randomUUID())).toBe(201);
    const { strategy } = policyOf(`POST ${path}`);
    const caught = server.catchIn({ boundary, strategy }, PATIENCE_MS);
    const first = pay(server, path, key);
    expect(await caught).toBe(true);
    if (STANDS[boundary]) await expect.poll(() => storedFor(key)).toBe(1);
    else expect(await storedFor(key)).toBe(0);
    server.signal("SIGCONT");
    expect(await first).toBe(201);
    expect([await storedFor(key), await countEffects(pool, key)]).toEqual([1, 1]);
  },
);

async function pay(server: ServerProcess, path: string, key: string): Promise<number> {
  const headers = {
    [SCOPE_HEADER]: "scope-0",
    [OPERATION_HEADER]: key,
    [FINGERPRINT_HEADER]: "same",
  };
  const json = { deed: "charge", amount: 1, workMs: 0 };
  const url = `http://127.0.0.1:${server.port()}${path}`;
  const [answer] = await post(url, { key, json, headers });
  return answer.status;
}

async function storedFor(key: string): Promise<number | null> {
  const stored = await pool.query("select from oncekey.records where key = $1 and status = 201", [
    key,
  ]);
  return stored.rowCount;
}

/** The handlers of the guide "charge, then write", killed at every point of a request. */
import { createServer } from "node:http";
import { stripTypeScriptTypes } from "node:module";
import { text } from "node:stream/consumers";
import type { AddressInfo } from "node:net";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CRASH_POINTS, testCrashes } from "@oncekey/server/testing";
import { byDepth } from "@oncekey/test-support/lanes/depth";
import { withDatabase } from "@oncekey/test-support/postgres/database";

const GUIDE = new URL("../../docs/guides/lease.md", import.meta.url);

const SERVER = `
import { idempotency, migrate } from "@oncekey/server";
import Fastify from "fastify";
import pg from "pg";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, connectionTimeoutMillis: 5_000 });
await migrate(pool);
const app = Fastify();
await app.register(idempotency, { pool, scope: "single-tenant" });
globalThis.app = app;
globalThis.provider = {
  async charge(_order, { idempotencyKey }) {
    const response = await fetch(process.env.PROVIDER, { method: "POST", body: idempotencyKey });
    return response.json();
  },
};
await import("./advisory.js");
await import("./lease.js");
await app.listen({ host: "127.0.0.1", port: Number(process.env.PORT) });
`;

/** Charges once for a key, and counts the calls. */
const charges = new Map<string, number>();
const provider = createServer((request, response) => {
  void text(request).then((key) => {
    if (!charges.has(key)) charges.set(key, charges.size + 1);
    response.end(JSON.stringify({ id: `ch_${charges.get(key)}` }));
    return undefined;
  });
});

const database = withDatabase();
let pool: pg.Pool;
let folder = "";

beforeAll(async () => {
  pool = database.pool();
  await pool.query(`
    create table orders (id serial primary key, charge_id text);
    create table payments (order_id int not null, charge_id text not null);
  `);
  await new Promise<void>((resolve) => provider.listen(0, "127.0.0.1", resolve));
  folder = await mkdtemp(join(import.meta.dirname, "../node_modules/.lease-guide-"));
  const guide = await readFile(GUIDE, "utf8");
  const blocks = [...guide.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = ""]) => code);
  const [advisory = "", lease = ""] = blocks;
  // A crash is noticed when the lease is over.
  const short = lease.replace("lease: { onCrash", "lease: { durationMs: 1_000, onCrash");
  expect(short).not.toBe(lease);
  await writeFile(join(folder, "package.json"), JSON.stringify({ type: "module" }));
  await writeFile(join(folder, "server.js"), SERVER);
  await writeFile(join(folder, "advisory.js"), stripTypeScriptTypes(advisory));
  await writeFile(join(folder, "lease.js"), stripTypeScriptTypes(short));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
  provider.close();
});

/** Each starts a dozen processes. It ends only what hangs. */
const LIMIT_MS = 300_000;

describe("charge, then write", () => {
  it.each([
    ["advisory", "pay", "update"],
    ["lease", "charge", "insert"],
  ])(
    "has one charge and one %s of it at every crash point",
    async (_strategy, action) => {
      const requests = await testCrashes({
        command: [process.execPath, join(folder, "server.js")],
        env: {
          NODE_OPTIONS: "--conditions=@oncekey/source",
          DATABASE_URL: database.url,
          PROVIDER: `http://127.0.0.1:${(provider.address() as AddressInfo).port}`,
        },
        request: async () => {
          const { rows } = await pool.query<{ id: number }>(
            "insert into orders default values returning id",
          );
          return { path: `/orders/${rows[0]?.id}/${action}` };
        },
        pool,
        countEffects: {
          charges: () => charges.size,
          paid: async () =>
            (await pool.query("select from orders where charge_id is not null")).rowCount ?? 0,
        },
        points: byDepth(["commit-sent"], CRASH_POINTS),
      });
      expect(requests.map(({ status, effects }) => [status, effects])).toEqual(
        requests.map(() => [201, 1]),
      );
    },
    LIMIT_MS,
  );
});

/** A pool for each tenant: made with a request, ended when the tenant is quiet, and forgotten. */
import { once } from "node:events";
import net from "node:net";
import type { AddressInfo } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { idempotency } from "@oncekey/server";
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import pg from "pg";
import { expect, test } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { post } from "../support/shop.ts";

const database = withDatabase();
const other = withDatabase();

const TENANTS = 30;

async function withTenants(
  pools: Map<string, pg.Pool>,
  use: (url: string, logged: () => string, app: FastifyInstance) => Promise<void>,
): Promise<void> {
  const lines: string[] = [];
  const app = Fastify({ logger: { level: "warn", stream: { write: (line) => lines.push(line) } } });
  try {
    await app.register(idempotency, {
      pool: ({ headers }) => {
        const pool = pools.get(String(headers["x-tenant"]));
        if (pool === undefined) throw new Error("no such tenant");
        return pool;
      },
      scope: "single-tenant",
      sweep: { intervalMs: 100 },
      outsideWrites: "allow",
    });
    app.post("/pay", { config: { idempotency: true } }, async () => "paid");
    await use(await app.listen({ host: "127.0.0.1", port: 0 }), () => lines.join(""), app);
  } finally {
    await app.close();
  }
}

test("ended pools are garbage-collected, swept no more and not warned of", async () => {
  const pools = new Map<string, pg.Pool>();
  const refs: WeakRef<pg.Pool>[] = [];
  await withTenants(pools, async (url, logged) => {
    for (let tenant = 0; tenant < TENANTS; tenant += 1) {
      const pool = new pg.Pool({ connectionString: database.url, max: 2 });
      pools.set(`t${tenant}`, pool);
      refs.push(new WeakRef(pool));
      const request = { key: `k${tenant}`, headers: { "x-tenant": `t${tenant}` } };
      expect((await post(url, "/pay", request)).status).toBe(200);
    }
    for (const pool of pools.values()) await pool.end();
    pools.clear();
    setFlagsFromString("--expose_gc");
    const collect = runInNewContext("gc") as () => void;
    const alive = async (): Promise<number> => {
      // A WeakRef holds its target until the end of the job that read it.
      await new Promise((resolve) => void setTimeout(resolve, 20));
      collect();
      return refs.filter((ref) => ref.deref() !== undefined).length;
    };
    // The last ones may still be held by the stack of a connection that has just closed.
    await expect.poll(alive).toBeLessThanOrEqual(1);
    expect(logged()).toBe("");
  });
});

test("a tenant whose database is away does not hold up the sweep of the others", async () => {
  const sockets: net.Socket[] = [];
  const silent = net.createServer((socket) => void sockets.push(socket));
  silent.listen(0, "127.0.0.1");
  await once(silent, "listening");
  const { port } = silent.address() as AddressInfo;
  const away = new pg.Pool({ host: "127.0.0.1", port, connectionTimeoutMillis: 60_000 });
  const [one, two] = [database.pool(), other.pool()];
  const pools = new Map([
    ["away", away],
    ["one", one],
    ["two", two],
  ]);
  await withTenants(pools, async (url, _logged, app) => {
    // Noted first, so that it is swept first; its test never ends.
    const waiting = app.idempotency.ready(away).catch(() => {});
    for (const tenant of ["one", "two"])
      await post(url, "/pay", { key: `sweep-${tenant}`, headers: { "x-tenant": tenant } });
    for (const pool of [one, two])
      await pool.query(
        "update oncekey.records set expires_at = now() - interval '1 day', fence_until = null",
      );
    const left = async (): Promise<number[]> =>
      Promise.all(
        [one, two].map(async (pool) => {
          const { rows } = await pool.query<{ count: number }>(
            "select count(*)::int as count from oncekey.records",
          );
          return rows[0]?.count ?? -1;
        }),
      );
    await expect.poll(left).toEqual([0, 0]);
    for (const socket of sockets) socket.destroy();
    silent.close();
    await waiting;
  });
  await away.end();
});

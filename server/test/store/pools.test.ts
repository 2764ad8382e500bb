import { idempotency, migrate } from "@oncekey/server";
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import { once } from "node:events";
import net from "node:net";
import type { AddressInfo } from "node:net";
import pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { addPayments, countPayments, createPayments, post } from "../support/shop.ts";
import { createWire } from "@oncekey/test-support/wire/wire";
import { acquire } from "../../src/store/postgres/connection.ts";

const migrated = withDatabase();
const another = withDatabase();
const empty = withDatabase({ from: "empty" });
beforeAll(async () => {
  await createPayments(migrated.pool());
  await createPayments(another.pool());
  await createPayments(empty.pool());
});

type PoolOption = pg.Pool | ((request: { readonly headers: Record<string, unknown> }) => pg.Pool);

async function withApp(
  pool: PoolOption,
  use: (url: string, logged: () => string, app: FastifyInstance) => Promise<void>,
): Promise<void> {
  const lines: string[] = [];
  const app = Fastify({ logger: { stream: { write: (line) => lines.push(line) } } });
  try {
    await app.register(idempotency, { pool, scope: "single-tenant" });
    addPayments(app);
    await use(await app.listen({ host: "127.0.0.1", port: 0 }), () => lines.join(""), app);
  } finally {
    await app.close();
  }
}

describe("a pool that comes with the request", () => {
  it("is tested before its first use: the tenant without tables is refused with the reason, the other is served", async () => {
    const pools = { good: migrated.pool(), bad: empty.pool() };
    const choose: PoolOption = ({ headers }) =>
      headers["x-tenant"] === "bad" ? pools.bad : pools.good;
    await withApp(choose, async (url, logged) => {
      const pay = (key: string, tenant: string) =>
        post(url, "/payments", { key, json: { amount: 1 }, headers: { "x-tenant": tenant } });
      const [good, bad] = await Promise.all([pay("one", "good"), pay("one", "bad")]);
      expect([good.status, bad.status]).toEqual([201, 503]);
      expect(bad.json()).toMatchObject({ code: "idempotency_unavailable" });
      expect(bad.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
      expect(logged()).toContain("oncekey migrate");
      expect(await countPayments(pools.bad)).toBe(0);

      await migrate(pools.bad);
      expect((await pay("one", "bad")).status).toBe(201);
      expect((await pay("one", "bad")).headers.get("idempotent-replayed")).toBe("true");
    });
  });

  it("has answers of its own in the process: the same scope and key of another tenant runs", async () => {
    const pools = { one: migrated.pool(), other: another.pool() };
    const choose: PoolOption = ({ headers }) =>
      headers["x-tenant"] === "other" ? pools.other : pools.one;
    await withApp(choose, async (url, _logged, app) => {
      const pay = (tenant: string, amount: number) =>
        post(url, "/payments", {
          key: "same",
          json: { amount },
          headers: { "x-tenant": tenant },
        });
      expect((await pay("one", 1)).json()).toMatchObject({ amount: 1 });
      const other = await pay("other", 1);
      expect([other.status, other.headers.get("idempotent-replayed")]).toEqual([201, null]);
      expect(await countPayments(pools.other)).toBe(1);

      const address = { key: "same", scope: "single-tenant" };
      expect(
        await app.idempotency.forget(
          { ...address, pool: pools.other },
          { by: "an operator", reason: "a test" },
        ),
      ).toBe(1);
      expect((await pay("other", 1)).headers.get("idempotent-replayed")).toBeNull();
      await pools.one.query("delete from oncekey.records where key = 'same'");
      expect((await pay("one", 1)).headers.get("idempotent-replayed"), "still kept").toBe("true");
    });
  });

  it("is tested once, however many requests come at once", async () => {
    const pool = migrated.pool();
    await withApp(
      () => pool,
      async (url, logged) => {
        const keys = Array.from({ length: 12 }, (_, index) => `at-once-${index % 3}`);
        const answers = await Promise.all(
          keys.map((key) => post(url, "/payments", { key, json: { amount: 1 } })),
        );
        expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201]));
        expect(new Set(answers.map(({ text }) => text)).size).toBe(3);
        expect(logged().split("every strategy works")).toHaveLength(2);
      },
    );
  });
});

describe("a database that did not answer at start-up", () => {
  it("is tested before the first request, which finds locks that exclude no other session", async () => {
    await migrate(empty.pool());
    await empty
      .pool()
      .query(
        "create schema shadow; create function shadow.pg_try_advisory_xact_lock(bigint) returns boolean language sql as 'select true'",
      );
    const url = new URL(empty.url);
    const wire = await createWire({ host: url.hostname, port: Number(url.port) });
    wire.onText("pg_is_in_recovery", "drop-request");
    url.port = String(wire.port);
    const pool = new pg.Pool({
      connectionString: url.href,
      options: "-c search_path=shadow,pg_catalog,public",
    });
    await withApp(pool, async (shop, logged) => {
      expect(logged()).toContain("tests it before the first request");
      const refused = await post(shop, "/payments", { key: "late", json: { amount: 1 } });
      expect(refused.status).toBe(503);
      expect(logged()).toContain("is granted to another as well; use strategy 'unique'");
    });
    await pool.end();
    await wire.close();
  });

  it("is waited for no longer than half of what Fastify gives a plugin, and the application starts", async () => {
    const silent = net.createServer();
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    const { port } = silent.address() as AddressInfo;
    const pool = new pg.Pool({ host: "127.0.0.1", port, connectionTimeoutMillis: 3_000 });
    const app = Fastify({ pluginTimeout: 1_000 });
    await app.register(idempotency, { pool, scope: "single-tenant", sweep: false });
    addPayments(app);
    await expect(app.ready()).resolves.toBeDefined();
    await app.close();
    await pool.end();
    silent.close();
  });

  it("and then accepts connections in silence is waited for no longer than the pool's timeout", async () => {
    const silent = net.createServer();
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    const { port } = silent.address() as AddressInfo;
    const pool = new pg.Pool({ host: "127.0.0.1", port, connectionTimeoutMillis: 200 });
    await withApp(pool, async (url) => {
      const refused = await post(url, "/payments", { key: "silent", json: { amount: 1 } });
      expect(refused.json()).toMatchObject({
        status: 503,
        code: "idempotency_unavailable",
        detail: "No database connection became free in time",
      });
    });
    await pool.end();
    silent.close();
  });
});

describe("a connection that comes when its caller has given up", () => {
  it("goes back to its pool", async () => {
    const pool = migrated.pool({ max: 1 });
    const held = await pool.connect();
    await expect(acquire(pool, 0)).rejects.toThrow("no connection became free in the pool in time");
    held.release();
    await expect.poll(() => [pool.waitingCount, pool.idleCount]).toEqual([0, 1]);
  });

  it("passes by many such callers with one listener at a time", async () => {
    const pool = migrated.pool({ max: 1 });
    const counts: number[] = [];
    pool.on("acquire", (client) => counts.push(client.listenerCount("error")));
    const held = await pool.connect();
    const late = Array.from({ length: 20 }, () => acquire(pool, 0));
    await Promise.allSettled(late);
    held.release();
    await expect.poll(() => [pool.waitingCount, pool.idleCount]).toEqual([0, 1]);
    expect(counts).toHaveLength(21);
    // The idle client has one, and the caller before it another.
    expect(Math.max(...counts)).toBeLessThanOrEqual(2);
  });
});

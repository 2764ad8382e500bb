import { idempotency, migrate } from "@oncekey/server";
import Fastify from "fastify";
import pg from "pg";
import { describe, expect, it, vi } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { selfTest } from "../../src/store/maintenance/self-test.ts";
import { addPayments } from "../support/shop.ts";

const database = withDatabase({ from: "empty" });

/**
 * A database whose advisory locks behave as some engines' do: granted to every session, or not
 * there.
 */
async function withLocksOf(body: string): Promise<pg.Pool> {
  const pool = database.pool();
  await migrate(pool);
  await pool.query(`create schema if not exists shadow; ${body}`);
  return database.pool({ options: "-c search_path=shadow,pg_catalog,public" });
}

describe("the self-test", () => {
  it("finds a migrated primary sound, for every strategy, and leaves nothing behind", async () => {
    const pool = database.pool();
    await migrate(pool);
    const sound = { kind: "sound", engine: { dialect: { kind: "postgres" } } };
    expect(await selfTest(pool, "oncekey", true)).toMatchObject(sound);
    expect(await selfTest(database.pool({ max: 1 }), "oncekey", true)).toMatchObject(sound);
  });

  it("refuses a missing and an unlogged table, with what to do", async () => {
    const pool = database.pool();
    expect(await selfTest(pool, "absent", false)).toMatchObject({
      kind: "unsound",
      remedy: expect.stringContaining("migrate"),
    });
    await migrate(pool, { schema: "fast" });
    await pool.query("alter table fast.records set unlogged");
    expect(await selfTest(pool, "fast", false)).toMatchObject({
      kind: "unsound",
      reason: expect.stringContaining("not logged"),
    });
  });

  it("refuses a driver that does not report whether its transaction still stands", async () => {
    const Client = class extends pg.Client {
      override getTransactionStatus = undefined as never;
    };
    const pool = database.pool({ Client });
    expect(await selfTest(pool, "oncekey", true)).toMatchObject({
      kind: "unsound",
      remedy: "install pg 8.21 or later",
    });
  });

  it("refuses advisory locks that do not exclude other sessions, if they are needed", async () => {
    const pool = await withLocksOf(
      "create or replace function shadow.pg_try_advisory_xact_lock(bigint) returns boolean language sql as 'select true'",
    );
    expect(await selfTest(pool, "oncekey", true)).toMatchObject({
      kind: "unsound",
      reason: expect.stringContaining("is granted to another"),
      remedy: expect.stringContaining("strategy 'unique'"),
    });
    expect(await selfTest(pool, "oncekey", false)).toMatchObject({ kind: "sound" });
  });

  it("refuses an engine that has none", async () => {
    const pool = await withLocksOf(
      `create or replace function shadow.pg_try_advisory_xact_lock(bigint) returns boolean language plpgsql as
       $$ begin raise exception 'not supported' using errcode = '0A000'; end $$`,
    );
    expect(await selfTest(pool, "oncekey", true)).toMatchObject({
      reason: expect.stringContaining("no transaction-level advisory locks"),
    });
  });

  it("refuses a standby, whose locks exclude no session", async () => {
    const pool = await withLocksOf(
      "create or replace function shadow.pg_is_in_recovery() returns boolean language sql as 'select true'",
    );
    expect(await selfTest(pool, "oncekey", false)).toMatchObject({
      reason: expect.stringContaining("standby"),
    });
    await pool.query("drop function shadow.pg_is_in_recovery");
  });

  it("reports a database that does not answer, and does not throw", async () => {
    const nobody = new pg.Pool({ host: "127.0.0.1", port: 1 });
    expect(await selfTest(nobody, "oncekey", true)).toMatchObject({
      kind: "unreachable",
      detail: "No database connection could be made",
    });
    await nobody.end();
  });

  it("keeps the connection that it has if the second one does not come in time", async () => {
    const pool = database.pool({ max: 2 });
    await migrate(pool);
    const [own, held] = await Promise.all([pool.connect(), pool.connect()]);
    own.release();
    // Both are open: no machine is too slow for it.
    pool.options.connectionTimeoutMillis = 50;
    expect(await selfTest(pool, "oncekey", true)).toMatchObject({
      kind: "unreachable",
      detail: "No database connection became free in time",
    });
    expect([pool.totalCount, pool.idleCount]).toEqual([2, 1]);
    held.release();
    pool.options.connectionTimeoutMillis = 5_000;
    expect(await selfTest(pool, "oncekey", true)).toMatchObject({ kind: "sound" });
  });

  it("bounds each answer, not all of them together: a slow line is no reason not to start", async () => {
    await migrate(database.pool());
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const Client = class extends pg.Client {
        override query(...asked: readonly unknown[]): never {
          vi.advanceTimersByTime(4_000);
          return super.query(...(asked as Parameters<pg.Client["query"]>)) as never;
        }
      };
      expect(await selfTest(database.pool({ Client }), "oncekey", true)).toMatchObject({
        kind: "sound",
      });
    } finally {
      vi.useRealTimers();
    }
  });

  it("closes a connection that broke", async () => {
    const pool = await withLocksOf(
      `create or replace function shadow.pg_try_advisory_xact_lock(bigint) returns boolean language plpgsql as
       $$ begin perform pg_terminate_backend(pg_backend_pid()); return true; end $$`,
    );
    expect(await selfTest(pool, "oncekey", true)).toMatchObject({
      kind: "unreachable",
      detail: "The idempotency store did not answer",
    });
    expect(pool.idleCount).toBe(0);
  });
});

describe("at start-up", () => {
  it("a strategy that cannot keep its promise refuses to start, with the reason and the alternative", async () => {
    const pool = await withLocksOf(
      "create or replace function shadow.pg_try_advisory_xact_lock(bigint) returns boolean language sql as 'select true'",
    );
    const start = async (strategy: "advisory" | "unique"): Promise<unknown> => {
      const app = Fastify();
      await app.register(idempotency, { pool, scope: "single-tenant", strategy });
      addPayments(app);
      try {
        return await app.ready();
      } finally {
        await app.close();
      }
    };
    await expect(start("advisory")).rejects.toThrow(
      /granted to another as well; use strategy 'unique'/,
    );
    await expect(start("unique")).resolves.toBeDefined();
  });

  it("a database that does not answer yet is no reason not to start", async () => {
    const app = Fastify();
    await app.register(idempotency, {
      pool: new pg.Pool({ host: "127.0.0.1", port: 1 }),
      scope: "single-tenant",
    });
    addPayments(app);
    await app.ready();
    await app.close();
  });
});

import { migrate } from "@oncekey/server";
import pg from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { startPostgres } from "@oncekey/test-support/postgres/postgres";
import type { Postgres } from "@oncekey/test-support/postgres/postgres";
import { createAdvisoryStore } from "../../src/store/strategies/advisory.ts";
import { createLeaseStore } from "../../src/store/strategies/lease.ts";
import { createStoreParts } from "../../src/store/store-parts.ts";
import type { StoreParts } from "../../src/store/store-parts.ts";
import { claimed, createTicket, effect, response } from "../support/store-contract.ts";

// A server of its own: from here on every commit of the whole cluster waits for a standby that does not exist.
let server: Postgres;
let pool: pg.Pool;
beforeAll(async () => {
  server = await startPostgres({ fsync: false });
  pool = new pg.Pool({ connectionString: server.url("postgres") });
  // Its connections end with the server, and some of them a moment before the pool does.
  pool.on("error", () => {});
  await migrate(pool);
  await pool.query("create table effects (key text)");
});
afterEach(() => vi.useRealTimers());
afterAll(async () => {
  await pool.end();
  await server.stop();
});

const STORES = [
  ["advisory", createAdvisoryStore],
  ["lease", (parts: StoreParts) => createLeaseStore(parts, 60_000)],
] as const;

describe("a commit that no synchronous standby has confirmed", () => {
  it.each(STORES)(
    "counts as unknown, not as done, though Postgres answers COMMIT: %s",
    async (strategy, createStore) => {
      const ticket = createTicket();
      const store = createStore(createStoreParts(pool, "oncekey"));
      await missStandby("");
      const claim = await claimed(store, ticket);
      if (strategy === "advisory") await effect(claim, ticket);
      await missStandby("nobody");
      await standbyIsMissed();
      const completion = claim.complete(response("made"), "keep");
      await expect.poll(cancelWaiting).toBe(true);
      expect(await completion).toMatchObject({
        kind: "unknown",
        cause: { message: "committed on one node only" },
      });
      await missStandby("");
      expect(await store.begin(ticket, { retentionMs: 60_000, fenceMs: 60_000 })).toMatchObject({
        kind: "replay",
      });
    },
  );

  it.each(STORES)(
    "is waited for until our own time is over, is in flight for as long as the standby is away, and is replayed when it is back: %s",
    async (_strategy, createStore) => {
      const ticket = createTicket();
      const store = createStore(createStoreParts(pool, "oncekey"));
      const claim = await claimed(store, ticket);
      await missStandby("nobody");
      await standbyIsMissed();
      vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
      let isDone = false;
      const completion = claim.complete(response("made"), "keep").finally(() => {
        isDone = true;
      });
      while (!(await isWaiting()));
      while (!isDone) {
        await vi.advanceTimersByTimeAsync(1_000);
        await new Promise(setImmediate);
      }
      vi.useRealTimers();
      expect(await completion).toMatchObject({ kind: "unknown" });
      expect(await store.begin(ticket, { retentionMs: 60_000, fenceMs: 60_000 })).toMatchObject({
        kind: "in-flight",
      });
      await missStandby("");
      await expect
        .poll(() => store.begin(ticket, { retentionMs: 60_000, fenceMs: 60_000 }))
        .toMatchObject({ kind: "replay" });
    },
  );

  it("leaves a lease's claim unanswered, and is asked for again with the same owner", async () => {
    await missStandby("nobody");
    await standbyIsMissed();
    const store = createLeaseStore(createStoreParts(pool, "oncekey"), 60_000);
    let isDone = false;
    const begun = store
      .begin(createTicket(), { retentionMs: 60_000, fenceMs: 60_000 })
      .finally(() => {
        isDone = true;
      });
    let cancelled = 0;
    while (!isDone) if (await cancelWaiting()) cancelled += 1;
    expect(await begun).toMatchObject({
      kind: "unavailable",
      cause: { message: "committed on one node only" },
    });
    expect(cancelled).toBeGreaterThanOrEqual(2);
  });

  async function missStandby(name: string): Promise<void> {
    await pool.query(`alter system set synchronous_standby_names = '${name}'`);
    await pool.query("select pg_reload_conf()");
  }

  /** The checkpointer takes the setting over in its own time: until then commits do not wait. */
  async function standbyIsMissed(): Promise<void> {
    for (;;) {
      let isDone = false;
      const probe = pool.query("create table probe (); drop table probe").finally(() => {
        isDone = true;
      });
      while (!isDone) if (await cancelWaiting()) return probe.then(() => undefined);
    }
  }

  async function isWaiting(): Promise<boolean> {
    const { rowCount } = await pool.query(
      "select from pg_stat_activity where wait_event = 'SyncRep'",
    );
    return rowCount === 1;
  }

  async function cancelWaiting(): Promise<boolean> {
    const { rowCount } = await pool.query(
      "select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'",
    );
    return rowCount === 1;
  }
});

/** Crash recovery without a request: the outcome of a key whose client never comes back. */
import { randomUUID } from "node:crypto";
import type { FastifyBaseLogger, FastifyInstance } from "fastify";
import type pg from "pg";
import { beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { CrashContext, OnCrash } from "@oncekey/server";
import { byDepth } from "@oncekey/test-support/lanes/depth";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { resolveRouteOptions } from "../../src/options/options.ts";
import type { RecoverOptions } from "../../src/options/lease-options.ts";
import { recoverAll } from "../../src/recover.ts";
import type { Recovered } from "../../src/recover.ts";
import { purposeLockId } from "../../src/store/lock-id.ts";
import { findRecords } from "../../src/store/maintenance/records.ts";
import { sweepBatch } from "../../src/store/maintenance/sweep-batch.ts";
import { createStoreParts } from "../../src/store/store-parts.ts";
import { createLeaseStore } from "../../src/store/strategies/lease.ts";
import { listening } from "../support/listening.ts";
import { claimed, createTicket, RETENTION, response } from "../support/store-contract.ts";
import { withShop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});
beforeEach(() => pool.query("truncate oncekey.records, oncekey.decisions"));

const log = { info: vi.fn(), warn: vi.fn(), error: vi.fn() } as unknown as FastifyBaseLogger;

/** One pass of a process of its own. */
function pass(onCrash: OnCrash, options: RecoverOptions = {}): Promise<Recovered> {
  const route = resolveRouteOptions(
    { pool, scope: "single-tenant" },
    { strategy: "lease", lease: { onCrash, durationMs: 1_000 } },
    "POST /pay",
  );
  const routes = { leasePatterns: () => ["^POST /pay$"], optionsOf: () => route };
  return recoverAll(createStoreParts(pool, "oncekey"), routes, { afterMs: 0, ...options }, log);
}

async function crash(): Promise<ReturnType<typeof createTicket>> {
  const ticket = createTicket();
  const store = createLeaseStore(createStoreParts(pool, "oncekey"), 60_000);
  await (await claimed(store, ticket)).release("failed");
  return ticket;
}

async function rowOf({ key }: { readonly key: string }) {
  const { rows } = await pool.query(
    "select status, attempt, recoveries, recover_at > now() as waits from oncekey.records where key = $1",
    [key],
  );
  return rows[0];
}

const decisions = async () =>
  (await pool.query("select key, action, state, status, decided_by from oncekey.decisions")).rows;

const charged: OnCrash = () => ({ status: 201, body: { charged: true } });

describe("crash recovery", () => {
  it("stores what onCrash finds out, once, with a row of the audit, and announces the crash before", async () => {
    const ticket = await crash();
    const contexts: CrashContext[] = [];
    const seen: unknown[] = [];
    await listening("oncekey:crashed", async (events) => {
      const ask: OnCrash = async (context) => {
        contexts.push(context);
        seen.push(...events);
        return { status: 201, body: { charged: true } };
      };
      expect(await pass(ask)).toEqual({ resolved: 1, left: 0 });
      expect(await pass(ask)).toEqual({ resolved: 0, left: 0 });
    });
    expect(seen).toMatchObject([{ foundBy: "recover", attempts: 1 }]);
    expect(contexts).toMatchObject([{ key: ticket.key, attempts: 1, request: undefined }]);
    const store = createLeaseStore(createStoreParts(pool, "oncekey"), 60_000);
    expect(await store.lookup(ticket)).toMatchObject({
      kind: "replay",
      record: { fingerprint: ticket.fingerprint, response: { status: 201 } },
    });
    expect(await decisions()).toEqual([
      {
        key: ticket.key,
        action: "resolved",
        state: "crashed",
        status: 201,
        decided_by: "crash recovery",
      },
    ]);
  });

  it.each<["recover" | "sweep", () => Promise<unknown>]>([
    ["recover", () => pass(charged)],
    ["sweep", () => sweepBatch(createStoreParts(pool, "oncekey"), 100)],
  ])("locks no row while another process has the lock of %s", async (purpose, work) => {
    const { key } = await crash();
    await pool.query("update oncekey.records set expires_at = now()");
    const other = await pool.connect();
    // A transaction holds it: behind a pooler a client keeps no session for longer.
    await other.query("begin");
    await other.query("select pg_advisory_xact_lock($1::bigint)", [
      purposeLockId("oncekey", purpose),
    ]);
    await work();
    await other.query("rollback");
    other.release();
    // A row remembers a lock, also one that was rolled back.
    const { rows } = await pool.query("select xmax::text from oncekey.records where key = $1", [
      key,
    ]);
    expect(rows).toEqual([{ xmax: "0" }]);
  });

  it("closes a key under 'fail', and leaves it to the next retry under 'rerun'", async () => {
    const [closed] = [await crash()];
    expect(await pass("fail")).toEqual({ resolved: 1, left: 0 });
    expect(await rowOf(closed)).toMatchObject({ status: 500 });
    const left = await crash();
    expect(await pass("rerun")).toEqual({ resolved: 0, left: 1 });
    expect(await rowOf(left)).toMatchObject({ status: null, attempt: 1, recoveries: 1 });
    const store = createLeaseStore(createStoreParts(pool, "oncekey"), 60_000);
    const retry = await store.begin(left, RETENTION);
    expect(retry).toMatchObject({ kind: "crashed", claim: { attempt: 2 } });
    if (retry.kind === "crashed") await retry.claim.complete(response("made"), "keep");
  });

  it("goes on with other keys while a retry runs one that it has left", async () => {
    const left = await crash();
    expect(await pass("rerun")).toEqual({ resolved: 0, left: 1 });
    const store = createLeaseStore(createStoreParts(pool, "oncekey"), 60_000);
    const retry = await store.begin(left, RETENTION);
    if (retry.kind !== "crashed") throw new Error(`expected a crash, got ${retry.kind}`);
    expect(await rowOf(left)).toEqual({ status: null, attempt: 2, recoveries: null, waits: null });
    await crash();
    expect(await pass(charged)).toEqual({ resolved: 1, left: 0 });
    await retry.claim.complete(response("made"), "keep");
  });

  it("asks an onCrash that throws again, later each time, and keeps the record", async () => {
    const ticket = await crash();
    const ask = vi.fn(() => {
      throw new Error("the provider is away");
    });
    expect(await pass(ask)).toEqual({ resolved: 0, left: 1 });
    expect(await pass(ask)).toEqual({ resolved: 0, left: 0 });
    expect(ask).toHaveBeenCalledTimes(1);
    expect(await rowOf(ticket)).toEqual({ status: null, attempt: 1, recoveries: 1, waits: true });
    await pool.query("update oncekey.records set recover_at = now()");
    expect(await pass(ask)).toEqual({ resolved: 0, left: 1 });
    expect(await rowOf(ticket)).toMatchObject({ recoveries: 2 });
    await pool.query("update oncekey.records set recover_at = now()");
    expect(await pass(charged)).toEqual({ resolved: 1, left: 0 });
  });

  it("leaves alone what runs, what was given back after a step, what is too young, and other routes", async () => {
    const store = createLeaseStore(createStoreParts(pool, "oncekey"), 60_000);
    const running = await claimed(store, createTicket());
    const given = await claimed(store, createTicket());
    await given.steps?.write("charge", "1");
    await given.release("free");
    const other = await claimed(store, { ...createTicket(), target: "POST /other" });
    await other.release("failed");
    expect(await pass(charged)).toEqual({ resolved: 0, left: 0 });
    await crash();
    expect(await pass(charged, { afterMs: 60_000 })).toEqual({ resolved: 0, left: 0 });
    expect(await pass(charged)).toEqual({ resolved: 1, left: 0 });
    await running.release("free");
  });

  it("leaves an undecided record to the sweep, which announces it and writes the audit", async () => {
    const ticket = await crash();
    const parts = createStoreParts(pool, "oncekey");
    expect(await sweepBatch(parts, 100)).toMatchObject({ deleted: 0 });
    await pool.query("update oncekey.records set expires_at = now()");
    await listening("oncekey:crashed", async (events) => {
      expect(await sweepBatch(parts, 100)).toMatchObject({ deleted: 1 });
      expect(events).toMatchObject([{ foundBy: "sweep", attempts: 1 }]);
    });
    expect(await decisions()).toEqual([
      {
        key: ticket.key,
        action: "expired",
        state: "crashed",
        status: null,
        decided_by: "the sweep",
      },
    ]);
  });

  it("is announced once if two sweeps reach the end of a fence at the same moment", async () => {
    const [one, two] = [createStoreParts(pool, "oncekey"), createStoreParts(pool, "oncekey")];
    await listening("oncekey:crashed", async (events) => {
      for (let round = 1; round <= 20; round += 1) {
        await crash();
        await pool.query("update oncekey.records set expires_at = now()");
        const swept = await Promise.all([sweepBatch(one, 100), sweepBatch(two, 100)]);
        expect(swept.reduce((sum, { deleted }) => sum + deleted, 0)).toBe(1);
        expect(events).toHaveLength(round);
      }
    });
    expect(await decisions()).toHaveLength(20);
  });

  it.each(["sweep", "recover"] as const)(
    "is not announced by a %s that meets a retry: the retry holds the row",
    async (by) => {
      await crash();
      await pool.query("update oncekey.records set expires_at = now()");
      const retry = await pool.connect();
      await retry.query("begin; update oncekey.records set attempt = attempt");
      await listening("oncekey:crashed", async (events) => {
        if (by === "recover") expect(await pass(charged)).toEqual({ resolved: 0, left: 0 });
        else
          expect(await sweepBatch(createStoreParts(pool, "oncekey"), 100)).toMatchObject({
            deleted: 0,
          });
        expect(events).toEqual([]);
      });
      await retry.query("rollback");
      retry.release();
    },
  );

  it("is announced once, however often onCrash is asked about it", async () => {
    await crash();
    await listening("oncekey:crashed", async (events) => {
      for (let asked = 1; asked <= 3; asked += 1) {
        await pool.query("update oncekey.records set recover_at = null");
        expect(await pass("rerun")).toEqual({ resolved: 0, left: 1 });
      }
      expect(events).toMatchObject([{ foundBy: "recover", attempts: 1 }]);
    });
  });

  it("is logged before a sweep of the application deletes it", async () => {
    await crash();
    await pool.query("update oncekey.records set expires_at = now()");
    const lines: string[] = [];
    await withShop(
      { pool, sweep: false, recover: false, logTo: (line) => lines.push(line) },
      () => {},
      async ({ app }) => {
        expect(await app.idempotency.sweep()).toMatchObject({ deleted: 1 });
      },
    );
    const crashes = lines.filter((line) => line.includes("crashed lease"));
    expect(crashes.map((line) => JSON.parse(line) as object)).toMatchObject([
      { level: 40, attempts: 1, keyDigest: expect.stringMatching(/^[\da-f]{16}$/) },
    ]);
  });

  it("recovers several batches in one pass", async () => {
    const tickets = await Promise.all(Array.from({ length: 25 }, crash));
    expect(await pass(charged)).toEqual({ resolved: tickets.length, left: 0 });
    expect(await decisions()).toHaveLength(tickets.length);
  });

  it("has one winner if two processes and a late client meet", async () => {
    const rounds = byDepth(50, 1_000);
    for (let round = 0; round < rounds; round += 1) {
      const ticket = await crash();
      const store = createLeaseStore(createStoreParts(pool, "oncekey"), 60_000);
      const client = async (): Promise<void> => {
        const outcome = await store.begin(ticket, RETENTION);
        if (outcome.kind !== "crashed") return;
        await outcome.claim.complete(response("the client"), "keep");
      };
      const by =
        (name: string): OnCrash =>
        () => ({ status: 201, body: name });
      const [one, two] = await Promise.all([pass(by("one")), pass(by("two")), client()]);
      const { rows } = await pool.query<{ body: string }>(
        "select convert_from(body, 'UTF8') as body from oncekey.records where key = $1",
        [ticket.key],
      );
      const byRecovery = one.resolved + two.resolved;
      expect(byRecovery).toBeLessThanOrEqual(1);
      expect(rows[0]?.body === "the client").toBe(byRecovery === 0);
      const audit = await pool.query("select from oncekey.decisions where key = $1", [ticket.key]);
      expect(audit.rowCount).toBe(byRecovery);
    }
  });

  it("ends an onCrash that hangs when the application closes, and keeps the key crashed", async () => {
    const asked = Promise.withResolvers<void>();
    const hangs: OnCrash = () => {
      asked.resolve();
      return new Promise<never>(() => {});
    };
    const idempotency = { strategy: "lease", lease: { onCrash: hangs } } as const;
    await withShop(
      { pool, sweep: false, recover: { everyMs: 100, afterMs: 0 } },
      (app) => app.post("/pay/:id", { config: { idempotency } }, () => {}),
      async ({ app }) => {
        const ticket = { ...createTicket(), target: "POST /pay/7" };
        const store = createLeaseStore(createStoreParts(pool, "oncekey"), 60_000);
        await (await claimed(store, ticket)).release("failed");
        await asked.promise;
        await app.close();
        expect(await findRecords(pool, "oncekey", ticket)).toMatchObject([{ state: "crashed" }]);
      },
    );
  });

  it("runs one pass on request, also if the registration recovers nothing by itself", async () => {
    const idempotency = { strategy: "lease", lease: { onCrash: charged } } as const;
    await withShop(
      { pool, sweep: false, recover: false },
      (app) => app.post("/pay/:id", { config: { idempotency } }, () => {}),
      async ({ app }) => {
        const ticket = { ...createTicket(), target: "POST /pay/7" };
        const store = createLeaseStore(createStoreParts(pool, "oncekey"), 60_000);
        await (await claimed(store, ticket)).release("failed");
        expect(await app.idempotency.recover()).toEqual({ resolved: 0, left: 0 });
        // The default of afterMs: a retry of the caller goes first.
        await pool.query("update oncekey.records set created_at = now() - interval '61 s'");
        expect(await app.idempotency.recover()).toEqual({ resolved: 1, left: 0 });
        expect(await findRecords(pool, "oncekey", ticket)).toMatchObject([{ state: "finished" }]);
      },
    );
  });

  it("runs by itself if a route uses lease, also for encrypted records, whose retry then gets the answer", async () => {
    const encryption = { keys: [{ id: "one", secret: "x".repeat(32) }] };
    const idempotency = { strategy: "lease", lease: { onCrash: charged } } as const;
    const runs: string[] = [];
    await withShop(
      { pool, sweep: false, encryption, recover: { everyMs: 100, afterMs: 0 } },
      (app: FastifyInstance) =>
        app.post("/pay/:id", { config: { idempotency } }, async () => {
          runs.push("run");
          throw new Error("dies");
        }),
      async ({ app, post }) => {
        const request = { key: randomUUID(), json: { amount: 1 } };
        expect((await post("/pay/7", request)).status).toBe(500);
        await expect
          .poll(async () => (await app.idempotency.list({ state: "finished" })).records.length)
          .toBe(1);
        const again = await post("/pay/7", request);
        expect([again.status, again.json()]).toEqual([201, { charged: true }]);
        expect(again.headers.get("idempotency-mismatch")).toBeNull();
        expect(runs).toEqual(["run"]);
      },
    );
  });
});

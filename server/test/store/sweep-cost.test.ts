/**
 * The cost of a sweep's batch in reads and writes: the same on an old table as on a new one.
 * Buffers are compared, not times.
 */
import type pg from "pg";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { purposeLockId } from "../../src/store/lock-id.ts";
import { POSTGRES } from "../../src/store/postgres/dialect.ts";
import { recordValues } from "../../src/store/record.ts";
import { sweepBatch } from "../../src/store/maintenance/sweep-batch.ts";
import type { Position } from "../../src/store/maintenance/sweep-batch.ts";
import { createStatements } from "../../src/store/sql/statements.ts";
import { createStoreParts } from "../../src/store/store-parts.ts";
import type { StoreParts } from "../../src/store/store-parts.ts";

const database = withDatabase();
const statements = createStatements("oncekey", POSTGRES);
const BATCH = 500;
const RETENTION = 10_000;
const DAY = { retentionMs: 86_400_000, fenceMs: 30 * 86_400_000 };
let pool: pg.Pool;
let parts: StoreParts;
beforeAll(() => {
  pool = database.pool();
  parts = createStoreParts(pool, "oncekey");
});
beforeEach(async () => {
  await pool.query("truncate oncekey.records");
  // So that a test decides when dead rows are taken away.
  await pool.query("alter table oncekey.records set (autovacuum_enabled = false)");
});

/** Adds records in the order in which they expire, from `startsIn` on, a millisecond each. */
async function add(count: number, startsIn: string, bodyBytes = 100): Promise<void> {
  await pool.query(
    `insert into oncekey.records (key, scope, target, fingerprint, status, headers, body, created_at, expires_at)
     select gen_random_uuid()::text, 's', 't', '\\x01', 200, '[]', convert_to(repeat(md5(n::text), $3::int / 32 + 1), 'UTF8'),
       now() - interval '2 days', now() + $2::interval + n * interval '1 millisecond'
     from generate_series(1, $1::int) as n`,
    [count, startsIn, bodyBytes],
  );
}

async function sweepAll(): Promise<number> {
  let batches = 0;
  for (let from: Position | undefined; ;) {
    const { next } = await sweepBatch(parts, BATCH, from);
    batches += 1;
    if (next === undefined) return batches;
    from = next;
  }
}

interface Plan {
  readonly "Shared Hit Blocks": number;
  readonly "Shared Read Blocks": number;
}

/** Returns how many buffers a batch touches that is run and rolled back. */
async function buffersOf(from: Position | undefined): Promise<number> {
  const client = await pool.connect();
  try {
    await client.query("begin");
    await client.query(statements.planSweep);
    const { rows } = await client.query<{ "QUERY PLAN": [{ Plan: Plan }] }>(
      `explain (analyze, buffers, format json) ${statements.sweep}`,
      [BATCH, purposeLockId("oncekey", "sweep"), from ?? null, 4_194_304],
    );
    const plan = rows[0]?.["QUERY PLAN"][0].Plan;
    if (plan === undefined) throw new Error("no plan");
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"];
  } finally {
    await client.query("rollback");
    client.release();
  }
}

/** Buffers of the first batch of a sweep and of the one behind it. */
async function measure(): Promise<{ readonly first: number; readonly second: number }> {
  const first = await buffersOf(undefined);
  const { next } = await sweepBatch(parts, BATCH);
  return { first, second: await buffersOf(next) };
}

async function aged(isVacuumed: boolean): Promise<void> {
  for (let retention = 0; retention < 4; retention += 1) {
    await add(RETENTION, "-1 day");
    await sweepAll();
    await untilNobodyReads();
    if (isVacuumed) await pool.query("vacuum oncekey.records");
    // Finds dead what the sweep deleted.
    else await buffersOf(undefined);
  }
}

/**
 * Waits until deleted rows can be found dead. No session of this database may still see them, such
 * as one that gathers statistics. No transaction of the whole server may be older.
 */
async function untilNobodyReads(): Promise<void> {
  const { rows } = await pool.query<{ xid: string }>("select pg_current_xact_id()::text as xid");
  const isOver = `select pg_snapshot_xmin(pg_current_snapshot()) > $1::text::xid8 and not exists (
      select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
        and (backend_xmin is not null or backend_xid is not null)) as is_over`;
  await expect
    .poll(
      async () => (await pool.query<{ is_over: boolean }>(isOver, [rows[0]?.xid])).rows[0]?.is_over,
    )
    .toBe(true);
}

describe("a batch of the sweep", () => {
  it("reads as much from a table that has wrapped several times as from a new one", async () => {
    await add(RETENTION, "1 day");
    await add(4 * BATCH, "-1 hour");
    const fresh = await measure();
    await pool.query("truncate oncekey.records");
    await aged(true);
    await add(RETENTION, "1 day");
    await add(4 * BATCH, "-1 hour");
    const old = await measure();
    expect(old.first).toBeLessThan(1.3 * fresh.first);
    expect(old.second).toBeLessThan(1.3 * fresh.second);
    expect(old.second).toBeLessThan(12 * BATCH);
  });

  it("reads no more before the first vacuum, but for the index entries of what was deleted", async () => {
    await add(4 * BATCH, "-1 hour");
    const fresh = await measure();
    await pool.query("truncate oncekey.records");
    await aged(false);
    await add(4 * BATCH, "-1 hour");
    const old = await measure();
    expect(old.second).toBeLessThan(1.3 * fresh.second);
    // A leaf of the index has some 300 entries, and those that an earlier scan has found dead cost no visit to their rows.
    const leaves = (4 * RETENTION) / 250;
    expect(old.first).toBeLessThan(1.3 * fresh.first + leaves);
  });

  it("reads no more of a backlog of 40 batches than of one of four", async () => {
    await add(4 * BATCH, "-1 hour");
    const { second } = await measure();
    await pool.query("truncate oncekey.records");
    await add(40 * BATCH, "-1 hour");
    let from: Position | undefined;
    for (let batch = 0; batch < 35; batch += 1)
      ({ next: from } = await sweepBatch(parts, BATCH, from));
    expect(await buffersOf(from)).toBeLessThan(1.3 * second);
  });

  it("ends before it has deleted more than a few megabytes of bodies", async () => {
    await add(20, "-1 hour", 1_048_576);
    const { deleted, next } = await sweepBatch(parts, BATCH);
    expect(deleted).toBe(4);
    expect(next).toBeDefined();
    expect(await sweepAll()).toBe(4);
  });

  it("passes over a row that a handler holds, and does not come back to it in the same sweep", async () => {
    await add(2 * BATCH, "-1 hour");
    const handler = await pool.connect();
    await handler.query("begin");
    await handler.query("select from oncekey.records order by expires_at limit 1 for update");
    expect(await sweepAll()).toBe(3);
    await handler.query("rollback");
    handler.release();
    expect(await sweepBatch(parts, BATCH)).toMatchObject({ deleted: 1, next: undefined });
  });
});

interface WalPlan {
  readonly "WAL Bytes": number;
  readonly "WAL FPI"?: number;
}

/** Bytes that storing a response writes to the log, without pages that are logged whole. */
async function walOfStore(before: string): Promise<number> {
  const client = await pool.connect();
  const costs: number[] = [];
  try {
    await client.query("begin");
    await client.query(before);
    for (let index = 0; index < 50; index += 1) {
      const ticket = {
        key: crypto.randomUUID(),
        scope: "s",
        target: "t",
        fingerprint: Buffer.alloc(33),
      };
      const { rows } = await client.query<{ "QUERY PLAN": [{ Plan: WalPlan }] }>(
        `explain (analyze, wal, format json) ${statements.store}`,
        recordValues(
          ticket,
          ticket.fingerprint,
          { status: 201, headers: [], body: Buffer.alloc(200) },
          DAY,
        ),
      );
      const plan = rows[0]?.["QUERY PLAN"][0].Plan;
      if (plan !== undefined && !plan["WAL FPI"]) costs.push(plan["WAL Bytes"]);
    }
  } finally {
    await client.query("rollback");
    client.release();
  }
  return costs.toSorted((one, other) => one - other)[Math.floor(costs.length / 2)] ?? Infinity;
}

describe("the index on expiry", () => {
  it("adds at most 70 bytes to the log of a first request", async () => {
    await add(1_000, "1 day");
    const withIndex = await walOfStore("select 1");
    const without = await walOfStore("drop index oncekey.records_expires_at");
    expect(withIndex - without).toBeGreaterThan(0);
    expect(withIndex - without).toBeLessThanOrEqual(70);
  });
});

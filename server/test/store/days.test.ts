/** Partitions by the day of a key: added ahead, dropped once all their keys are over, and no key is lost on the way. */
import { migrate } from "@oncekey/server";
import type pg from "pg";
import { v7 } from "uuid";
import { beforeEach, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { isDropped, keepDays, mayBeDropped } from "../../src/store/maintenance/days.ts";
import { sweepBatch } from "../../src/store/maintenance/sweep-batch.ts";
import { boundOf, DAY_MS, DAYS_AHEAD, partitionOf } from "../../src/store/sql/days.ts";
import { createStoreParts, openStoreParts } from "../../src/store/store-parts.ts";
import type { StoreParts } from "../../src/store/store-parts.ts";
import {
  addPastDays,
  addRows,
  daysAgo,
  keyOf,
  partitions,
  tableOf,
} from "../support/day-partitions.ts";

const database = withDatabase({ from: "empty" });
let pool: pg.Pool;
let parts: StoreParts;
beforeEach(async () => {
  pool = database.pool();
  await pool.query("drop schema if exists oncekey cascade");
  await migrate(pool, { partitioned: true });
  parts = await openStoreParts(pool, "oncekey");
});

const AHEAD = Array.from({ length: DAYS_AHEAD + 1 }, (_, ahead) => partitionOf(daysAgo(-ahead)));
const OVER = { expiresIn: -100, fencedFor: -50 };
const FENCED = { expiresIn: -100, fencedFor: 3_600, isTombstone: true };
const LIVE = { expiresIn: 3_600, fencedFor: 7_200 };

/** Drops the partition of a day with its rows, which is forbidden. */
async function lose(day: number): Promise<void> {
  await pool.query(`drop table oncekey.${partitionOf(day)}`);
}

describe("a partition of a day to come", () => {
  it("is there for today and the seven days behind it", async () => {
    expect(await partitions(pool)).toEqual(AHEAD);
    expect(await keepDays(parts)).toEqual({ created: 0, dropped: 0 });
  });

  it("is added by the sweep, and takes over the keys that came before it", async () => {
    await lose(daysAgo(0));
    await lose(daysAgo(-2));
    const [today, later] = [v7(), keyOf(daysAgo(-2))];
    const stray = `${boundOf(daysAgo(-2))}-not-a-uuid`;
    await addRows(pool, { key: today, ...LIVE }, { key: later, ...LIVE }, { key: stray, ...LIVE });
    expect(await tableOf(pool, today)).toBe("records_days_other");
    expect(await sweepBatch(parts, 100)).toMatchObject({ deleted: 0, buried: 0 });
    expect(await partitions(pool)).toEqual(AHEAD);
    expect(await tableOf(pool, today)).toBe(partitionOf(daysAgo(0)));
    expect(await tableOf(pool, later)).toBe(partitionOf(daysAgo(-2)));
    expect(await tableOf(pool, stray)).toBe(partitionOf(daysAgo(-2)));
  });

  it("is added by one of several processes", async () => {
    await lose(daysAgo(0));
    const outcomes = await Promise.all(Array.from({ length: 5 }, async () => keepDays(parts)));
    expect(outcomes.reduce((sum, { created }) => sum + created, 0)).toBe(1);
    expect(await partitions(pool)).toEqual(AHEAD);
  });

  it("is no business of keys in upper case, of another kind, or of a time beyond all days", async () => {
    const others = [
      v7().toUpperCase(),
      "f47ac10b-58cc-4372-a567-0e02b2c3d479",
      "order-1",
      v7({ msecs: Date.UTC(2100, 0) }),
    ];
    for (const key of others) await addRows(pool, { key, ...LIVE });
    for (const key of others)
      expect(["records_other", "records_days_other"]).toContain(await tableOf(pool, key));
    expect(await tableOf(pool, v7())).toBeUndefined();
  });
});

describe("a partition of a day that has passed", () => {
  beforeEach(() => addPastDays(pool, 35, 34, 33));

  it("is dropped once all its keys are over, without a deleted row", async () => {
    await addRows(pool, { key: keyOf(daysAgo(35)), ...OVER }, { key: keyOf(daysAgo(34)), ...OVER });
    await addRows(pool, { key: keyOf(daysAgo(33)), ...FENCED });
    const swept = await sweepBatch(parts, 100);
    expect(swept).toMatchObject({ deleted: 0, buried: 0, droppedDays: 2 });
    expect(await partitions(pool)).toEqual([partitionOf(daysAgo(33)), ...AHEAD]);
    expect(await sweepBatch(parts, 100)).toMatchObject({ droppedDays: 0 });
  });

  it.each([
    ["a stored response", { ...LIVE }],
    ["a remembered key", { ...FENCED }],
    ["a key behind an expired response", { expiresIn: -100, fencedFor: 3_600 }],
  ])("stays as long as there is %s, and so do the days behind it", async (_what, row) => {
    const key = keyOf(daysAgo(35));
    await addRows(pool, { key, ...row }, { key: keyOf(daysAgo(34)), ...OVER });
    expect(await keepDays(parts)).toEqual({ created: 0, dropped: 0 });
    await pool.query(
      "update oncekey.records set expires_at = now(), fence_until = null, headers = null, body = null where key = $1",
      [key],
    );
    // It was found that the key stands for an hour: until then the day is not read again.
    expect(await keepDays(parts)).toEqual({ created: 0, dropped: 0 });
    await pool.query("update oncekey.days set look_at = now()");
    expect(await keepDays(parts)).toEqual({ created: 0, dropped: 3 });
  });

  it("stays beside a crashed lease until the sweep has announced its end", async () => {
    await pool.query(
      `insert into oncekey.records (key, scope, target, fingerprint, owner, lease_until, created_at, expires_at)
       values ($1, 's', 'POST /pay', '\\x0102', gen_random_uuid(), now() - interval '1 day', now() - interval '35 days', now() - interval '1 hour')`,
      [keyOf(daysAgo(35))],
    );
    expect(await keepDays(parts)).toEqual({ created: 0, dropped: 0 });
    expect(await sweepBatch(parts, 100)).toMatchObject({ deleted: 1, droppedDays: 3 });
    const { rows } = await pool.query("select action from oncekey.decisions");
    expect(rows).toEqual([{ action: "expired" }]);
  });

  it("is kept on the day after it, whatever is in it", async () => {
    await addPastDays(pool, 1);
    expect(await keepDays(parts)).toEqual({ created: 0, dropped: 3 });
    expect(await partitions(pool)).toEqual([partitionOf(daysAgo(1)), ...AHEAD]);
  });

  it("leaves behind what sorts among its keys and is no UUIDv7 of its own, and still finds it", async () => {
    const day = boundOf(daysAgo(35) + DAY_MS / 2);
    const strays = [
      `${day}-4000-8000-000000000000`,
      `${day}-order`,
      `${day}-7ABC-8000-00000000000A`,
    ];
    for (const key of strays) await addRows(pool, { key, ...LIVE });
    await addRows(pool, { key: `${day}-gone`, ...OVER }, { key: keyOf(daysAgo(35)), ...OVER });
    for (const key of strays) expect(await tableOf(pool, key)).toBe(partitionOf(daysAgo(35)));
    expect(await keepDays(parts)).toEqual({ created: 0, dropped: 3 });
    for (const key of strays) expect(await tableOf(pool, key)).toBe("records_days_other");
    const { rows } = await pool.query("select count(*)::int as count from oncekey.records");
    expect(rows).toEqual([{ count: strays.length }]);
  });

  it("is dropped by one of several processes", async () => {
    const outcomes = await Promise.all(Array.from({ length: 5 }, async () => keepDays(parts)));
    // One that met another at work has left the rest to it, or to the next sweep.
    outcomes.push(await keepDays(parts));
    expect(outcomes.reduce((sum, { dropped }) => sum + dropped, 0)).toBe(3);
    expect(await partitions(pool)).toEqual(AHEAD);
  });

  it("waits for no handler, and is dropped when none is in the way", async () => {
    const handler = await pool.connect();
    try {
      await handler.query("begin");
      await handler.query("select from oncekey.records where key = $1", [v7()]);
      expect(await keepDays(parts)).toEqual({ created: 0, dropped: 0 });
      await addRows(pool, { key: v7(), ...LIVE });
    } finally {
      await handler.query("rollback");
      handler.release();
    }
    expect(await keepDays(parts), "it is tried again a minute later").toEqual({
      created: 0,
      dropped: 0,
    });
    await pool.query("update oncekey.days set look_at = now()");
    expect(await keepDays(parts)).toEqual({ created: 0, dropped: 3 });
  });

  it("is remembered: of its keys alone it is known that they run nothing", async () => {
    await keepDays(parts);
    const dropped = async (key: string): Promise<unknown> => isDropped(parts, key);
    expect(await dropped(keyOf(daysAgo(35)))).toBe(true);
    expect(await dropped(keyOf(daysAgo(33)))).toBe(true);
    expect(await dropped(keyOf(daysAgo(32)))).toBe(false);
    expect(await dropped(keyOf(daysAgo(500)))).toBe(false);
    expect(
      [keyOf(daysAgo(35)), keyOf(daysAgo(-1)), "order-1"].map((key) => mayBeDropped(key)),
    ).toEqual([true, false, false]);
    expect(mayBeDropped(keyOf(daysAgo(35)).toUpperCase())).toBe(false);
  });
});

describe("the sweep of a table with partitions", () => {
  it("makes tombstones in a day, and deletes rows only where no day will be dropped", async () => {
    const [today, fenced] = [v7(), v7()];
    await addRows(
      pool,
      { key: today, ...OVER },
      { key: fenced, expiresIn: -100, fencedFor: 3_600 },
    );
    await addRows(
      pool,
      { key: "order-1", ...OVER },
      { key: "order-2", expiresIn: -9, fencedFor: 60 },
    );
    await addRows(pool, { key: `${boundOf(daysAgo(-30))}-order`, ...OVER });
    expect(await sweepBatch(parts, 100)).toMatchObject({ deleted: 2, buried: 2, next: undefined });
    expect(await sweepBatch(parts, 100)).toMatchObject({ deleted: 0, buried: 0 });
    const { rows } = await pool.query("select key from oncekey.records order by key");
    expect(rows).toEqual([today, fenced, "order-2"].map((key) => ({ key })));
  });

  it("goes from one batch to the next through all partitions", async () => {
    for (let row = 0; row < 5; row += 1) {
      await addRows(pool, { key: v7(), expiresIn: row - 100, fencedFor: 3_600 });
      await addRows(pool, { key: `order-${row}`, expiresIn: row - 100, fencedFor: -50 });
    }
    const batches = [];
    for (let from: string | undefined; ;) {
      const { deleted, buried, next } = await sweepBatch(parts, 2, from);
      batches.push(deleted + buried);
      if (next === undefined) break;
      from = next;
    }
    expect(batches.reduce((sum, rows) => sum + rows, 0)).toBe(10);
    expect(Math.max(...batches)).toBeLessThanOrEqual(2);
  });

  it("touches nothing from a server that does not know of the partitions yet", async () => {
    // The first rows of their tables: their ctids are the same.
    const rows = [v7(), keyOf(daysAgo(-1)), "order-1"];
    for (const key of rows) await addRows(pool, { key, ...(key === rows[0] ? OVER : LIVE) });
    expect(await sweepBatch(createStoreParts(pool, "oncekey"), 100)).toMatchObject({
      deleted: 0,
      buried: 0,
    });
    const { rowCount } = await pool.query("select from oncekey.records");
    expect(rowCount).toBe(3);
  });
});

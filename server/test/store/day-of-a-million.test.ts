/** The end of a day with a million keys, in the lane `deep`; elsewhere of one with twenty thousand. Counts are compared, not times. */
import { migrate } from "@oncekey/server";
import type pg from "pg";
import { beforeAll, expect, it } from "vitest";
import { byDepth, isDeep } from "@oncekey/test-support/lanes/depth";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { sweepBatch } from "../../src/store/maintenance/sweep-batch.ts";
import { DAY_MS, partitionOf } from "../../src/store/sql/days.ts";
import { openStoreParts } from "../../src/store/store-parts.ts";
import { addPastDays, daysAgo, partitions } from "../support/day-partitions.ts";

const KEYS = byDepth(20_000, 1_000_000);
const DAY = daysAgo(35);
const TABLE = partitionOf(DAY);
const database = withDatabase({ from: "empty" });
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await migrate(pool, { partitioned: true });
  await addPastDays(pool, 35);
  await pool.query(
    `insert into oncekey.records (key, scope, target, fingerprint, status, created_at, expires_at)
     select left(digits, 8) || '-' || right(digits, 4) || '-7000-8000-' || lpad(to_hex(n), 12, '0'), 'tenant-1', 'POST /pay',
       decode(repeat('ab', 33), 'hex'), 201, now() - interval '35 days', now() - interval '1 hour'
     from (select n, lpad(to_hex($2::bigint + n::bigint * ($3::bigint / $1::int)), 12, '0') as digits
       from generate_series(0, $1::int - 1) as n) as numbered`,
    [KEYS, DAY, DAY_MS],
  );
  await pool.query(`vacuum analyze oncekey.${TABLE}`);
});

it("drops the day as a whole: no row is deleted or updated, and the log of a million grows by less than their deletion", async () => {
  const { rows: counted } = await pool.query<{ count: number; wal: string }>(
    `select count(*)::int as count, pg_current_wal_insert_lsn()::text as wal from oncekey.${TABLE}`,
  );
  expect(counted[0]?.count).toBe(KEYS);
  const parts = await openStoreParts(pool, "oncekey");
  const startedAt = performance.now();
  const swept = await sweepBatch(parts, 1_000);
  const tookMs = performance.now() - startedAt;
  expect(swept).toEqual({
    kind: "swept",
    deleted: 0,
    buried: 0,
    next: undefined,
    droppedDays: 1,
  });
  expect(await partitions(pool)).not.toContain(TABLE);
  const { rows } = await pool.query<{ bytes: number; files: boolean }>(
    `select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), $1::pg_lsn)::float8 as bytes,
       to_regclass('oncekey.${TABLE}') is not null as files`,
    [counted[0]?.wal],
  );
  expect(rows[0]?.files).toBe(false);
  // A deletion writes 54 bytes for each key at the least. Of fewer keys that would be no more than what tests beside this one write.
  if (isDeep) expect(rows[0]?.bytes).toBeLessThan(KEYS * 54);
  console.log(
    `dropped ${KEYS} keys in ${Math.round(tookMs)} ms, the look at each of them included; ${rows[0]?.bytes} bytes of log`,
  );
});

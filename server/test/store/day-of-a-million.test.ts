/** The end of a day with a million keys, in the lane `deep`; elsewhere of one with twenty thousand. Pages and rows are compared, not times. */
import { migrate } from "@oncekey/server";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { byDepth, isDeep } from "@oncekey/test-support/lanes/depth";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { keepDays, moveStrays, standingOf } from "../../src/store/maintenance/days.ts";
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

/** The plan of a statement as the sweep runs it, and the pages and rows that it touches. */
interface Touched {
  readonly pages: number;
  readonly rows: number;
  readonly plan: string;
}

interface Plan {
  readonly "Node Type": string;
  readonly "Relation Name"?: string;
  readonly "Index Name"?: string;
  readonly "Actual Rows": number;
  readonly "Rows Removed by Index Recheck"?: number;
  readonly "Rows Removed by Filter"?: number;
  readonly "Shared Hit Blocks": number;
  readonly "Shared Read Blocks": number;
  readonly Plans?: readonly Plan[];
}

async function touchedBy(statement: string): Promise<Touched> {
  const client = await pool.connect();
  try {
    await client.query("begin; set local enable_seqscan = off; set local jit = off");
    const { rows } = await client.query<{ "QUERY PLAN": [{ Plan: Plan }] }>(
      `explain (analyze, buffers, format json) ${statement}`,
    );
    const root = rows[0]?.["QUERY PLAN"][0].Plan;
    if (root === undefined) throw new Error("Postgres explained nothing");
    const nodes = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodes)];
    const scans = nodes(root).filter((node) => node["Relation Name"] === TABLE);
    return {
      pages: root["Shared Hit Blocks"] + root["Shared Read Blocks"],
      rows: scans.reduce(
        (sum, scan) =>
          sum +
          scan["Actual Rows"] +
          (scan["Rows Removed by Index Recheck"] ?? 0) +
          (scan["Rows Removed by Filter"] ?? 0),
        0,
      ),
      plan: nodes(root)
        .map((node) => `${node["Node Type"]} ${node["Index Name"] ?? ""}`.trim())
        .join(", "),
    };
  } finally {
    await client.query("rollback");
    client.release();
  }
}

describe("the look whether a day with a million keys is over", () => {
  // The last range is not full, and so not summarised: at the most 128 pages of some 60 rows each.
  const RANGE = { pages: 300, rows: 10_000 };

  it.each([
    ["for keys of the day", () => standingOf(`oncekey.${TABLE}`)],
    ["for other keys", () => moveStrays("oncekey.records_days", `oncekey.${TABLE}`)],
  ])("reads no more than a range of its rows, %s", async (_what, statement) => {
    const { pages, rows, plan } = await touchedBy(statement());
    expect(plan).not.toContain("Seq Scan");
    expect(plan).toContain("Bitmap Index Scan");
    expect(pages).toBeLessThan(RANGE.pages);
    expect(rows).toBeLessThan(RANGE.rows);
  });

  it.each([
    ["expires_at = now() + interval '1 hour'", "expires_at = now()"],
    ["fence_until = now() + interval '1 hour'", "fence_until = null"],
    [
      "status = null, owner = gen_random_uuid(), lease_until = now()",
      "status = 201, owner = null, lease_until = null",
    ],
  ])(
    "finds the one row with %s, in a range that is summarised, and keeps the day",
    async (set, unset) => {
      const first = `where key = (select min(key) from oncekey.${TABLE})`;
      await pool.query(`update oncekey.${TABLE} set ${set} ${first}`);
      await pool.query(
        "select brin_summarize_new_values(indexrelid) from pg_index where indrelid = $1::regclass and indkey = '0'",
        [`oncekey.${TABLE}`],
      );
      const { pages } = await touchedBy(standingOf(`oncekey.${TABLE}`));
      expect(pages).toBeLessThan(RANGE.pages);
      const parts = await openStoreParts(pool, "oncekey");
      expect(await keepDays(parts)).toEqual({ created: 0, dropped: 0 });
      await pool.query(`update oncekey.${TABLE} set ${unset} ${first}`);
      await pool.query("update oncekey.days set look_at = '-infinity'");
    },
  );
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
  // A deletion writes 54 bytes for each key at the least. With fewer keys, tests beside this one would write as much.
  if (isDeep) expect(rows[0]?.bytes).toBeLessThan(KEYS * 54);
  console.log(
    `dropped ${KEYS} keys in ${Math.round(tookMs)} ms, the sweep of all other partitions included; ${rows[0]?.bytes} bytes of log`,
  );
});

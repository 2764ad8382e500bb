/** `oncekey doctor` and the gauges before a table with partitions. */
import { migrate } from "@oncekey/server";
import type pg from "pg";
import { v7 } from "uuid";
import { beforeEach, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { readHealth } from "../../src/store/maintenance/health.ts";
import { readStats } from "../../src/store/maintenance/records.ts";
import { forgetScope } from "../../src/store/maintenance/decisions.ts";
import { listRecords } from "../../src/store/maintenance/list.ts";
import { sweepBatch } from "../../src/store/maintenance/sweep-batch.ts";
import { DAYS_AHEAD, partitionOf } from "../../src/store/sql/days.ts";
import { openStoreParts } from "../../src/store/store-parts.ts";
import { addRows, daysAgo, keyOf } from "../support/day-partitions.ts";
import { oncekey } from "./command.ts";
import { diagnose } from "./diagnose.ts";

const database = withDatabase({ from: "empty" });
let pool: pg.Pool;
beforeEach(async () => {
  pool = database.pool();
  await pool.query("drop schema if exists oncekey cascade");
  await migrate(pool, { partitioned: true });
});

const LIVE = { expiresIn: 3_600, fencedFor: 7_200 };
const FENCED = { expiresIn: -100, fencedFor: 3_600 };
const OVER = { expiresIn: -100, fencedFor: -50 };

describe("oncekey doctor on a table with partitions", () => {
  const partitions = async () => (await diagnose(database.url, 1))["partitions"];

  it("finds all days there, and the table logged and vacuumed as any other", async () => {
    const findings = await diagnose(database.url, 1);
    expect(findings["partitions"]).toMatchObject({
      verdict: "ok",
      found: `by the day of a key: ${DAYS_AHEAD + 1} days are there, tomorrow among them`,
    });
    for (const check of ["logged table", "rights", "dead rows", "sweep"])
      expect([check, findings[check]?.verdict]).toEqual([check, "ok"]);
  });

  it.each([0, -1])("warns if the day %i days ago has no partition", async (ago) => {
    const table = partitionOf(daysAgo(ago));
    await pool.query(`drop table oncekey.${table}`);
    expect(await partitions()).toMatchObject({
      verdict: "warn",
      found: `there is no "oncekey".${table}: its keys are in the default partition, and no DROP ends them`,
      advice: expect.stringContaining("oncekey sweep --schema oncekey"),
    });
    const swept = await oncekey(["sweep", "--database-url", database.url]);
    expect(swept.code).toBe(0);
    expect(await partitions()).toMatchObject({ verdict: "ok" });
  });

  it("warns if the role cannot add partitions", async () => {
    await pool.query(`
      drop role if exists partition_reader;
      create role partition_reader login password 'partition_reader';
      grant usage on schema oncekey to partition_reader;
      grant select on all tables in schema oncekey to partition_reader`);
    const url = new URL(database.url);
    url.username = "partition_reader";
    url.password = "partition_reader";
    expect((await diagnose(url.href, 1))["partitions"]).toMatchObject({
      verdict: "warn",
      found: expect.stringMatching(
        /^partition_reader can neither add nor drop partitions: .* belong to \w+$/,
      ),
    });
    await pool.query("drop owned by partition_reader; drop role partition_reader");
  });

  it.each([
    [
      "a view",
      "alter table oncekey.records rename to rows; create view oncekey.records as select * from oncekey.rows",
    ],
    [
      "without its default partition",
      "alter table oncekey.records detach partition oncekey.records_other",
    ],
    ["without its row of days", "alter table oncekey.days rename to weeks"],
  ])("fails if the records are %s", async (_what, change) => {
    await pool.query(change);
    expect(await partitions()).toMatchObject({
      verdict: "fail",
      found: expect.stringContaining("neither one table nor partitioned by the day of a key"),
    });
  });

  it("fails if one partition is not logged", async () => {
    await pool.query(`alter table oncekey.${partitionOf(daysAgo(0))} set unlogged`);
    expect((await diagnose(database.url, 1))["logged table"]?.verdict).toBe("fail");
  });
});

describe("the figures of a table with partitions", () => {
  const KEYS = (): string[] => [v7(), keyOf(daysAgo(-1)), keyOf(daysAgo(-40)), "order-1"];

  it("count what the sweep is to do: not what a DROP will end", async () => {
    for (const key of KEYS()) await addRows(pool, { key, ...OVER });
    for (const key of KEYS().slice(0, 3)) await addRows(pool, { key, ...FENCED });
    const { expired, sizeBytes, records } = await readStats(pool, "oncekey");
    // The over ones of the default partitions, and the responses of all.
    expect([expired, records]).toEqual([2 + 3, 7]);
    expect(sizeBytes).toBeGreaterThan(100_000);
    expect(await sweepBatch(await openStoreParts(pool, "oncekey"), 100)).toMatchObject({
      deleted: 2,
      buried: 3,
    });
    expect(await readStats(pool, "oncekey")).toMatchObject({ expired: 0, tombstones: 3 });
    await pool.query("analyze");
    expect(await readHealth(pool, "oncekey")).toMatchObject({ expired: 0, tombstones: 3 });
  });

  it("list every record once, in the order of the keys", async () => {
    const keys = Array.from({ length: 5 }, KEYS).flatMap((some, round) =>
      some.map((key) => (key.startsWith("order") ? `${key}-${round}` : key)),
    );
    for (const key of keys) await addRows(pool, { key, ...LIVE });
    const listed: string[] = [];
    for (let cursor: string | undefined; ;) {
      const page = await listRecords(pool, "oncekey", { limit: 3, cursor }, undefined);
      listed.push(...page.records.map(({ key }) => key));
      ({ cursor } = page);
      if (cursor === undefined) break;
    }
    expect(listed).toEqual(keys.toSorted((one, other) => (one < other ? -1 : 1)));
  });

  it("forget a scope in all partitions, and only that scope", async () => {
    const [first = "", ...others] = KEYS();
    for (const key of others) await addRows(pool, { key, ...LIVE });
    // The first row of its partition, with the ctid that the others have in theirs.
    await pool.query(
      `insert into oncekey.records (key, scope, target, fingerprint, created_at, expires_at)
       values ($1, 'other', 'POST /pay', '\\x0102', now(), now() + interval '1 hour')`,
      [first],
    );
    const parts = await openStoreParts(pool, "oncekey");
    expect(await forgetScope(parts, "s", { by: "me", reason: "test" })).toEqual({
      forgotten: 3,
      held: 0,
    });
    const { rows } = await pool.query("select scope from oncekey.records");
    expect(rows).toEqual([{ scope: "other" }]);
  });
});

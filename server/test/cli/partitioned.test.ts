/** Partitions by the day of a key, as an operator asks for them. */
import pg from "pg";
import { v7 } from "uuid";
import { beforeEach, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { keepDays } from "../../src/store/maintenance/days.ts";
import { boundOf, DAYS_AHEAD, partitionOf } from "../../src/store/sql/days.ts";
import { openStoreParts } from "../../src/store/store-parts.ts";
import { addRows, daysAgo, keyOf, partitions, tableOf } from "../support/day-partitions.ts";
import { oncekey, oncekeyJson } from "./command.ts";

const database = withDatabase({ from: "empty" });
let pool: pg.Pool;
beforeEach(async () => {
  pool = database.pool();
  await pool.query("drop schema if exists oncekey cascade");
});

const migrate = async (...args: readonly string[]) =>
  oncekey(["migrate", "--database-url", database.url, ...args]);

describe("oncekey migrate --partitioned", () => {
  it("makes new tables with partitions, and finds them up to date a second time", async () => {
    const out = "applied 0001_records.sql\napplied partitioned.sql\n";
    expect(await migrate("--partitioned")).toEqual({ code: 0, out, err: "" });
    expect(await partitions(pool)).toHaveLength(DAYS_AHEAD + 1);
    const upToDate = { code: 0, out: 'schema "oncekey" is up to date\n', err: "" };
    expect(await migrate("--partitioned")).toEqual(upToDate);
    expect(await migrate()).toEqual(upToDate);
  });

  it("refuses a table that is there without partitions, and names the guide", async () => {
    await migrate();
    const { code, err } = await migrate("--partitioned");
    expect([code, err]).toEqual([
      3,
      'error: "oncekey".records is there already and has no partitions; how to give it some, and what that locks, is in docs/guides/partitions.md\n',
    ]);
  });
});

describe("oncekey sql --partitioned", () => {
  async function script(): Promise<string> {
    const scripts = await oncekeyJson<{ name: string; sql: string }[]>(["sql", "--partitioned"]);
    expect(scripts.map(({ name }) => name)).toEqual(["0001_records.sql", "partitioned.sql"]);
    return scripts.at(-1)?.sql ?? "";
  }

  it("is refused beside --distributed", async () => {
    const { code, err } = await oncekey(["sql", "--partitioned", "--distributed"]);
    expect([code, err]).toEqual([2, "error: --distributed and --partitioned exclude each other\n"]);
  });

  it("gives an existing table its partitions from tomorrow on, and loses no key and no privilege", async () => {
    await migrate();
    await pool.query(`
      drop role if exists partition_writer;
      create role partition_writer login password 'partition_writer';
      grant usage on schema oncekey to partition_writer;
      grant select, insert, update, delete on all tables in schema oncekey to partition_writer`);
    const live = { expiresIn: 3_600, fencedFor: 7_200 };
    const tomorrow = daysAgo(-1);
    const places: [key: string, before: string, after: string][] = [
      [v7(), "records_other", "records_other"],
      ["f47ac10b-58cc-4372-a567-0e02b2c3d479", "records_other", "records_other"],
      ["order-1", "records_other", "records_other"],
      [keyOf(tomorrow), "records_days_other", partitionOf(tomorrow)],
      [`${boundOf(tomorrow)}-order`, "records_days_other", partitionOf(tomorrow)],
      [keyOf(daysAgo(-30)), "records_days_other", "records_days_other"],
    ];
    for (const [key] of places) await addRows(pool, { key, ...live });
    const all = "select * from oncekey.records order by key";
    const { rows: before } = await pool.query(all);
    await pool.query(await script());
    for (const [key, table] of places)
      expect([key, await tableOf(pool, key)]).toEqual([key, table]);
    expect(await keepDays(await openStoreParts(pool, "oncekey"))).toEqual({
      created: DAYS_AHEAD,
      dropped: 0,
    });
    for (const [key, , table] of places)
      expect([key, await tableOf(pool, key)]).toEqual([key, table]);
    expect((await pool.query(all)).rows).toEqual(before);
    const url = new URL(database.url);
    url.username = "partition_writer";
    url.password = "partition_writer";
    const clerk = new pg.Pool({ connectionString: url.href });
    await addRows(clerk, { key: v7(), ...live }, { key: keyOf(tomorrow), ...live });
    expect((await clerk.query("select from oncekey.days")).rowCount).toBe(1);
    await clerk.end();
    await pool.query("drop owned by partition_writer; drop role partition_writer");
  });

  it("leaves the columns, their order, checks and comments as they were", async () => {
    const columns = async (): Promise<unknown[]> => {
      const { rows } = await pool.query(`
        select attname, format_type(atttypid, atttypmod) as type, attnotnull, attcollation, attnum,
          col_description(attrelid, attnum) as about, pg_get_expr(adbin, adrelid) as preset
        from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
        where attrelid = 'oncekey.records'::regclass and attnum > 0 order by attnum`);
      const { rows: checks } = await pool.query(`
        select conname, pg_get_constraintdef(oid) as definition from pg_constraint
        where conrelid = 'oncekey.records'::regclass and contype in ('c', 'p') order by conname`);
      return [...rows, ...checks];
    };
    await migrate();
    const before = await columns();
    await pool.query(await script());
    expect(await columns()).toEqual(before);
  });
});

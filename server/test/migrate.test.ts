import { migrate } from "@oncekey/server";
import pg from "pg";
import { describe, expect, it } from "vitest";
import { withDatabase } from "../../e2e/support/database.ts";

const database = withDatabase({ from: "empty" });

describe("migrate", () => {
  it("lets several processes start at once: one works, the others find nothing to do", async () => {
    const pools = Array.from({ length: 6 }, () => database.pool({ max: 1 }));
    const applied = await Promise.all(pools.map((pool) => migrate(pool)));
    expect(applied.filter((names) => names.length > 0)).toEqual([["0001_records.sql"]]);
    expect(await migrate(database.pool())).toEqual([]);
  });

  it("makes the tables in the schema it is given, and describes each column in the database", async () => {
    const pool = database.pool();
    await migrate(pool, { schema: "billing_keys" });
    const { rows } = await pool.query(`
      select attname from pg_attribute
      where attrelid = 'billing_keys.records'::regclass and attnum > 0
        and col_description(attrelid, attnum) is null`);
    expect(rows).toEqual([]);
  });

  it("needs no right to create where there is nothing to do", async () => {
    const pool = database.pool();
    await migrate(pool);
    await pool.query(`
      drop role if exists clerk;
      create role clerk login password 'clerk';
      grant usage on schema oncekey to clerk;
      grant select, insert, update, delete on all tables in schema oncekey to clerk`);
    const url = new URL(database.url);
    url.username = "clerk";
    url.password = "clerk";
    const clerk = new pg.Pool({ connectionString: url.href });
    expect(await migrate(clerk)).toEqual([]);
    await clerk.end();
    await pool.query("drop owned by clerk; drop role clerk");
  });

  it("refuses a schema that is no plain name, before it touches the database", async () => {
    for (const schema of ['a"; drop schema public', "Upper", "a".repeat(64), ""]) {
      await expect(migrate(database.pool(), { schema })).rejects.toThrow("schema must match");
    }
  });

  it("leaves nothing behind when it fails", async () => {
    const pool = database.pool();
    await pool.query("create schema taken; create table taken.records (id int)");
    await expect(migrate(pool, { schema: "taken" })).rejects.toThrow("already exists");
    const { rows } = await pool.query("select to_regclass('taken.migrations') as migrations");
    expect(rows).toEqual([{ migrations: null }]);
  });
});

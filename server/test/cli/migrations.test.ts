import { readFileSync } from "node:fs";
import pg from "pg";
import { describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { oncekey, oncekeyJson } from "./command.ts";

const database = withDatabase({ from: "empty" });

interface Script {
  readonly name: string;
  readonly sql: string;
}

/** Contents of a schema: columns with types, defaults and collations, constraints, indexes, settings, comments. */
async function contents(pool: pg.Pool, schema: string): Promise<unknown[]> {
  const { rows } = await pool.query(
    `select relname, reloptions, obj_description(pg_class.oid, 'pg_class') as about,
       (select array_agg(pg_get_constraintdef(oid) order by conname) from pg_constraint
         where conrelid = pg_class.oid) as constraints,
       (select array_agg(replace(pg_get_indexdef(indexrelid), $1, '') order by indexrelid::regclass::text)
         from pg_index where indrelid = pg_class.oid) as indexes,
       (select array_agg(concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull, collname,
           pg_get_expr(adbin, adrelid), col_description(attrelid, attnum)) order by attnum)
         from pg_attribute left join pg_collation on pg_collation.oid = attcollation
           left join pg_attrdef on adrelid = attrelid and adnum = attnum
         where attrelid = pg_class.oid and attnum > 0) as columns
     from pg_class where relnamespace = $1::text::regnamespace and relkind in ('r', 'p') order by relname`,
    [schema],
  );
  return rows;
}

async function runScripts(pool: pg.Pool, scripts: readonly Script[]): Promise<void> {
  for (const { sql } of scripts) await pool.query(sql);
}

describe("oncekey migrate", () => {
  it("prints what it applied, and that a second run has nothing to do", async () => {
    const args = ["migrate", "--database-url", database.url, "--schema", "till"];
    expect(await oncekey(args)).toEqual({ code: 0, out: "applied 0001_records.sql\n", err: "" });
    expect(await oncekey(args)).toEqual({
      code: 0,
      out: 'schema "till" is up to date\n',
      err: "",
    });
  });

  it("ends with 3 and changes nothing where the database refuses", async () => {
    const pool = database.pool();
    await pool.query("create schema taken; create table taken.records (id int)");
    const args = ["migrate", "--database-url", database.url, "--schema", "taken"];
    const { code, err } = await oncekey(args);
    expect([code, err]).toEqual([3, 'error: relation "records" already exists\n']);
    expect(await contents(pool, "taken")).toHaveLength(1);
  });
});

describe("oncekey sql", () => {
  it("prints what another migration tool needs to make the same tables", async () => {
    const pool = database.pool();
    const there = ["--database-url", database.url];
    await oncekey(["migrate", ...there, "--schema", "by_command"]);
    const { code, out } = await oncekey(["sql", "--schema", "by_hand"]);
    expect(code).toBe(0);
    await pool.query(out);
    expect(await contents(pool, "by_hand")).toEqual(await contents(pool, "by_command"));
    expect((await oncekey(["migrate", ...there, "--schema", "by_hand"])).out).toContain(
      "up to date",
    );
  });

  it("gives a program each migration by itself", async () => {
    const pool = database.pool();
    const scripts = await oncekeyJson<Script[]>(["sql", "--schema", "by_program"]);
    expect(scripts.map(({ name }) => name)).toEqual(["0001_records.sql"]);
    await runScripts(pool, scripts);
    const { rows } = await pool.query("select name from by_program.migrations");
    expect(rows).toEqual([{ name: "0001_records.sql" }]);
  });

  it("prints for Citus a scope that any tenant's table can be co-located with, and distributes by it", async () => {
    const pool = database.pool();
    const scripts = await oncekeyJson<Script[]>(["sql", "--distributed", "--schema", "spread"]);
    const distributed = ["records", "decisions"].map(
      (table) => `select create_distributed_table('"spread".${table}', 'scope');\n`,
    );
    expect(scripts[0]?.sql).toContain(distributed.join(""));
    // All but the function, which only Citus has.
    await runScripts(
      pool,
      scripts.map(({ name, sql }) => ({ name, sql: sql.replace(distributed.join(""), "") })),
    );
    const { rows } = await pool.query(
      `select attname, collname from pg_attribute join pg_collation on pg_collation.oid = attcollation
       where attrelid = 'spread.records'::regclass and attname in ('key', 'scope', 'target') order by attnum`,
    );
    expect(rows).toEqual([
      { attname: "key", collname: "C" },
      { attname: "scope", collname: "default" },
      { attname: "target", collname: "C" },
    ]);
  });

  it("prints the files that are published, and leaves no placeholder", async () => {
    const { out } = await oncekey(["sql"]);
    const file = new URL("../../src/store/sql/migrations/0001_records.sql", import.meta.url);
    expect(out).toContain(readFileSync(file, "utf8").replaceAll("{{schema}}", '"oncekey"'));
    expect(out).not.toContain("{{");
  });
});

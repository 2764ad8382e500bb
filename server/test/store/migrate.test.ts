import { migrate } from "@oncekey/server";
import { createHash } from "node:crypto";
import pg from "pg";
import { describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { migrationNames, readMigration } from "../../src/store/sql/migration-files.ts";
import { addPayments, countPayments, createPayments, withShop } from "../support/shop.ts";

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
      drop role if exists migration_writer;
      create role migration_writer login password 'migration_writer';
      grant usage on schema oncekey to migration_writer;
      grant select, insert, update, delete on all tables in schema oncekey to migration_writer`);
    const url = new URL(database.url);
    url.username = "migration_writer";
    url.password = "migration_writer";
    const clerk = new pg.Pool({ connectionString: url.href });
    expect(await migrate(clerk)).toEqual([]);
    await clerk.end();
    await pool.query("drop owned by migration_writer; drop role migration_writer");
  });

  it("needs no right on the database as the owner of a schema that is there already", async () => {
    const pool = database.pool();
    await pool.query(`
      drop role if exists schema_owner;
      create role schema_owner login password 'schema_owner';
      create schema tenant_keys authorization schema_owner`);
    const url = new URL(database.url);
    url.username = "schema_owner";
    url.password = "schema_owner";
    const tenant = new pg.Pool({ connectionString: url.href });
    expect(await migrate(tenant, { schema: "tenant_keys" })).toEqual(["0001_records.sql"]);
    expect(await migrate(tenant, { schema: "tenant_keys" })).toEqual([]);
    await expect(migrate(tenant, { schema: "elsewhere" })).rejects.toThrow("permission denied");
    await tenant.end();
    await pool.query(
      "drop schema tenant_keys cascade; drop owned by schema_owner; drop role schema_owner",
    );
  });

  it("refuses a schema that is no plain name, before it touches the database", async () => {
    for (const schema of ['a"; drop schema public', "Upper", "a".repeat(64), ""]) {
      await expect(migrate(database.pool(), { schema })).rejects.toThrow("schema must match");
    }
  });

  it("refuses an option partitioned that is neither true nor false", async () => {
    const options = { partitioned: "yes" as unknown as boolean };
    await expect(migrate(database.pool(), options)).rejects.toThrow(
      'partitioned must be true or false, got "yes"',
    );
  });

  it("leaves nothing behind when it fails", async () => {
    const pool = database.pool();
    await pool.query("create schema taken; create table taken.records (id int)");
    await expect(migrate(pool, { schema: "taken" })).rejects.toThrow("already exists");
    const { rows } = await pool.query("select to_regclass('taken.migrations') as migrations");
    expect(rows).toEqual([{ migrations: null }]);
  });
});

// Each by the digest with which it was published: what a database has applied is never changed, only followed by another.
const PUBLISHED: Readonly<Record<string, string>> = {
  "0001_records.sql": "89343313b813f65342a1be5fdc27066f1c12515193f52d342eaf7ff766fa53c2",
};

describe("a rolling deploy", () => {
  it("finds every migration as it was published", async () => {
    const digests = await Promise.all(
      (await migrationNames()).map(async (name) => {
        const text = await readMigration(name);
        return [name, createHash("sha256").update(text).digest("hex")] as const;
      }),
    );
    expect(Object.fromEntries(digests)).toEqual(PUBLISHED);
  });

  // A later migration may, by the rule of "append only", add objects that this version does not
  // know.
  it("goes on with this version beside the next one, whose migration came first", async () => {
    const pool = database.pool();
    await createPayments(pool);
    await migrate(pool);
    const key = (name: string) => ({ key: name, json: { amount: 1 } });
    await withShop({ pool }, addPayments, async (before) => {
      const first = await before.post("/payments", key("before"));
      await pool.query(`
        alter table oncekey.records add column region text, add column priority int not null default 0;
        create index records_region on oncekey.records (region);
        insert into oncekey.migrations (name) values ('0002_region.sql')`);
      await withShop({ pool: database.pool() }, addPayments, async (after) => {
        const answers = await Promise.all(
          [before, after].flatMap(({ post }) =>
            ["before", "shared", "during"].map((name) => post("/payments", key(name))),
          ),
        );
        expect(answers.map(({ status }) => status)).toEqual(Array(6).fill(201));
        expect(answers[0]?.text).toBe(first.text);
        expect(answers.slice(0, 3).map(({ text }) => text)).toEqual(
          answers.slice(3).map(({ text }) => text),
        );
        expect(await countPayments(pool)).toBe(3);
        await before.app.idempotency.sweep();
      });
    });
    expect(await migrate(pool), "the older one finds nothing to do").toEqual([]);
    await pool.query("drop table payments; drop schema oncekey cascade");
  });
});

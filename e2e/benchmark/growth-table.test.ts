import { withDatabase } from "@oncekey/test-support/postgres/database";
import type pg from "pg";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { addExpired, addLive, pickKeys } from "./growth-table.ts";
import type { RecordsTable } from "./growth-table.ts";

const ROWS = 500;
const RECORD = `insert into oncekey.records (key, scope, target, fingerprint, status, headers, body, created_at, expires_at)
  values ('template', 's', 'POST /uncached', '\\x01', 201, '[]', 'body', now(), now() + interval '1 day')`;
const STATE = `select count(*)::int as rows, count(*) filter (where expires_at > now())::int as live,
  count(distinct body)::int as bodies from oncekey.records`;

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});
beforeEach(async () => {
  await pool.query("truncate oncekey.records");
  await pool.query(RECORD);
});

async function state(): Promise<unknown> {
  return (await pool.query(STATE)).rows[0];
}

describe.each([
  ["v4", /^\w{8}-\w{4}-4\w{3}-[89ab]\w{3}-\w{12}$/],
  ["v7", /^\w{8}-\w{4}-7\w{3}-[89ab]\w{3}-\w{12}$/],
] as const)("a table of %s keys", (version, pattern) => {
  const table = (): RecordsTable => ({ pool, template: "template", version });

  it("is filled with live copies of its record, under keys of that version", async () => {
    await addLive(table(), ROWS);
    expect(await state()).toEqual({ rows: ROWS + 1, live: ROWS + 1, bodies: 1 });
    const keys = await pickKeys(table(), ROWS, 50);
    expect(new Set(keys).size).toBe(50);
    for (const key of keys) if (key !== "template") expect(key).toMatch(pattern);
  });

  it("gets records for the sweep that have expired", async () => {
    await addExpired(table(), ROWS);
    expect(await state()).toEqual({ rows: ROWS + 1, live: 1, bodies: 1 });
    expect(await pickKeys(table(), ROWS, 50)).toEqual(["template"]);
  });
});

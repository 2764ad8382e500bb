import { expect, test } from "vitest";
import { assertNothingLeft, withDatabase } from "./database.ts";

const database = withDatabase();

test("a test file gets a migrated database of its own", async () => {
  const pool = database.pool();
  const { rows } = await pool.query("select to_regclass('oncekey.records') is not null as there");
  expect(rows).toEqual([{ there: true }]);
});

test("a transaction left open, its lock and its client are each reported", async () => {
  const pool = database.pool();
  const client = await pool.connect();
  await client.query("begin");
  await client.query("select pg_advisory_xact_lock(1)");
  await expect(assertNothingLeft(pool, 0)).rejects.toThrow(
    /transaction idle in transaction.*advisory lock held.*1 clients checked out/,
  );
  await client.query("rollback");
  client.release();
});

import type pg from "pg";
import { beforeAll, expect, it } from "vitest";
import type { Strategy } from "@oncekey/server";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { addPayments, countPayments, createPayments, withShop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await createPayments(pool);
  // With the SQLSTATE of the warning that a commit did not reach the standby.
  await pool.query(`create function warn() returns trigger language plpgsql as
    'begin raise warning ''large amount''; return null; end';
    create constraint trigger warn after insert on payments deferrable initially deferred
    for each row execute function warn()`);
});

it.each<[Strategy, string | undefined]>([
  ["advisory", "warned"],
  ["unique", "warned-unique"],
  ["row", "warned-row"],
  ["advisory", undefined],
])(
  "a warning of the application's own in the commit leaves it a commit: %s, key %s",
  async (strategy, key) => {
    await withShop(
      { pool },
      (app) => addPayments(app, { strategy, required: false }),
      async ({ post }) => {
        const before = await countPayments(pool);
        expect((await post("/payments", { key, json: { amount: 1 } })).status).toBe(201);
        expect((await countPayments(pool)) - before).toBe(1);
      },
    );
  },
);

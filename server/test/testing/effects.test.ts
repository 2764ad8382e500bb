import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import {
  changesBetween,
  effectsOf,
  expectedChanges,
  takeSnapshot,
} from "../../src/testing/effects.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await pool.query(`
    create table orders (id serial primary key, amount numeric(10, 2), note text);
    create schema billing;
    create table billing.events (id serial primary key) partition by range (id);
    create table billing.events_1 partition of billing.events for values from (1) to (1000);
    create table "Account balances" (name text primary key, "Balance" float8, version int);
    insert into "Account balances" values ('a', 100, 0)
  `);
});

/** Runs the effect of a handler that withdraws money from an account. */
async function pay(times = 1): Promise<void> {
  for (let run = 0; run < times; run += 1) {
    await pool.query("insert into orders (amount) values (0.1)");
    await pool.query("insert into billing.events default values");
    await pool.query(`update "Account balances" set "Balance" = "Balance" - 0.1`);
  }
}

async function changesOf(run: () => Promise<unknown>): Promise<ReadonlyMap<string, number>> {
  const before = await takeSnapshot({ pool });
  await run();
  return changesBetween(before, await takeSnapshot({ pool }));
}

describe("what a request changes", () => {
  it("is read of all tables but ours, by rows and by the sums of numbers that are the same each time", async () => {
    const expected = expectedChanges(await changesOf(pay), await changesOf(pay));
    const rounded = [...expected].map(([name, change]) => [name, Number(change.toFixed(6))]);
    // The sums of ids are not the same each time.
    expect(rounded).toEqual([
      ["Account balances", 0],
      ["sum of Account balances.Balance", -0.1],
      ["sum of Account balances.version", 0],
      ["billing.events", 1],
      ["orders", 1],
      ["sum of orders.amount", 0.1],
    ]);
  });

  it("shows a row and an update that were made twice, and a table that is new", async () => {
    const expected = expectedChanges(await changesOf(pay), await changesOf(pay));
    const right = effectsOf(await changesOf(pay), expected);
    expect(right.map(({ name }) => name)).toEqual([
      "sum of Account balances.Balance",
      "billing.events",
      "orders",
      "sum of orders.amount",
    ]);
    const twice = effectsOf(await changesOf(() => pay(2)), expected);
    expect(twice.map(({ change, expected: one }) => Math.round(change / one))).toEqual([
      2, 2, 2, 2,
    ]);
    const other = await changesOf(() => pool.query("create table ledger as select 1 as id"));
    expect(effectsOf(other, expected)).toContainEqual({ name: "ledger", change: 1, expected: 0 });
    await pool.query("drop table ledger");
  });

  it("leaves out what is ignored, and takes counters of other places in", async () => {
    const ignore = ["orders", "Account balances.version"];
    const one = await takeSnapshot({ pool, ignore, countEffects: () => 7 });
    expect(one.get("effects")).toBe(7);
    expect([...one.keys()].filter((name) => name.includes("orders"))).toEqual([]);
    expect(one.has("sum of Account balances.version")).toBe(false);
    const several = { charges: async () => 1, mails: () => 2 };
    expect([...(await takeSnapshot({ countEffects: several }))]).toEqual([
      ["charges", 1],
      ["mails", 2],
    ]);
  });

  it("cannot be compared if rows differ from time to time: the message names the table", () => {
    const [one, other] = [new Map([["customers", 1]]), new Map([["customers", 0]])];
    expect(() => expectedChanges(one, other)).toThrow("does not change 'customers' by the same");
  });
});

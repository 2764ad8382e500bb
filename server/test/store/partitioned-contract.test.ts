/** The same contract on a table with partitions: for keys in the partition of their day, and for those in the default ones. */
import { migrate } from "@oncekey/server";
import { randomUUID } from "node:crypto";
import type pg from "pg";
import { v7 } from "uuid";
import { beforeAll, describe } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { STRATEGIES } from "../support/strategies.ts";
import { describeStore } from "../support/store-contract.ts";
import { describeTransactionalStore } from "../support/transaction-contract.ts";

const database = withDatabase({ from: "empty" });
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await migrate(pool, { partitioned: true });
  await pool.query("create table effects (key text)");
});

const DAY_MS = 86_400_000;
const KEYS = [
  { keys: "of today", createKey: () => v7(), isDroppedByDay: true },
  { keys: "of a day to come", createKey: () => v7({ msecs: Date.now() + 30 * DAY_MS }) },
  { keys: "that are no UUIDv7", createKey: () => `f${randomUUID().slice(1)}` },
];

for (const { keys, ...underTest } of KEYS) {
  describe(`with keys ${keys}`, () => {
    for (const [name, create] of Object.entries(STRATEGIES)) {
      describeStore({ name, pool: () => pool, create, ...underTest });
    }
  });
}

for (const [name, create] of Object.entries(STRATEGIES)) {
  if (name !== "lease")
    describeTransactionalStore({ name, pool: () => pool, create, createKey: () => v7() });
}

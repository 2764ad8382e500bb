/** The same contract on pools whose connections send each statement without waiting for the one before it. */
import type pg from "pg";
import { beforeAll } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createAdvisoryStore } from "../../src/store/strategies/advisory.ts";
import { createLeaseStore } from "../../src/store/strategies/lease.ts";
import { createRowStore } from "../../src/store/strategies/row.ts";
import { createUniqueStore } from "../../src/store/strategies/unique.ts";
import { describeStore } from "../support/store-contract.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool({ pipeline: true });
  await pool.query("create table effects (key text)");
});

const stores = {
  advisory: createAdvisoryStore,
  unique: createUniqueStore,
  row: createRowStore,
  lease: (parts: Parameters<typeof createLeaseStore>[0]) => createLeaseStore(parts, 60_000),
};

for (const [name, create] of Object.entries(stores)) {
  describeStore({ name: `${name}, with pipeline: true:`, pool: () => pool, create });
}

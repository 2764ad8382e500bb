import type pg from "pg";
import { beforeAll } from "vitest";
import { withDatabase } from "../../e2e/support/database.ts";
import { createUniqueStore } from "../src/store/unique.ts";
import { describeStore } from "./support/store-contract.ts";
import { describeTransactionalStore } from "./support/transaction-contract.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await pool.query("create table effects (key text)");
});

const underTest = { name: "unique", pool: () => pool, create: createUniqueStore };
describeStore(underTest);
describeTransactionalStore(underTest);

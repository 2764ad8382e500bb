import type pg from "pg";
import { beforeAll } from "vitest";
import { withDatabase } from "../../e2e/support/database.ts";
import { createRowStore } from "../src/store/row.ts";
import { describeStore } from "./support/store-contract.ts";
import { describeTransactionalStore } from "./support/transaction-contract.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await pool.query("create table effects (key text)");
});

const underTest = { name: "row", pool: () => pool, create: createRowStore };
describeStore(underTest);
describeTransactionalStore(underTest);

/**
 * One contract, four strategies. The number of scenarios is printed, so that a shrinking suite is
 * seen.
 */
import type pg from "pg";
import { afterAll, afterEach, beforeAll, describe, expect } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { STRATEGIES } from "../support/strategies.ts";
import { describeStore } from "../support/store-contract.ts";
import { describeTransactionalStore } from "../support/transaction-contract.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await pool.query("create table effects (key text)");
});

for (const [name, create] of Object.entries(STRATEGIES)) {
  describe(name, () => {
    let passed = 0;
    afterEach(({ task }) => {
      if (task.result?.state === "pass") passed += 1;
    });
    afterAll(() => {
      const way = process.env["ONCEKEY_POOLER"] ?? "a direct connection";
      console.log(`contract, ${name}, through ${way}: ${passed} scenarios passed`);
      expect(passed).toBeGreaterThan(0);
    });
    const underTest = { name, pool: () => pool, create };
    describeStore(underTest);
    if (name !== "lease") describeTransactionalStore(underTest);
  });
}

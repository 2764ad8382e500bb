/** The Citus statements mean the same on one node, so the contract holds for them here as well. */
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createAdvisoryStore } from "../../src/store/strategies/advisory.ts";
import type { Dialect } from "../../src/store/postgres/dialect.ts";
import { createLeaseStore } from "../../src/store/strategies/lease.ts";
import { readOwnLimits } from "../../src/store/postgres/timeouts.ts";
import { createRowStore } from "../../src/store/strategies/row.ts";
import { createStoreParts } from "../../src/store/store-parts.ts";
import type { StoreParts } from "../../src/store/store-parts.ts";
import type { Store } from "../../src/store/store.ts";
import { createUniqueStore } from "../../src/store/strategies/unique.ts";
import { claimed, createTicket, describeStore, txOf } from "../support/store-contract.ts";
import { describeTransactionalStore } from "../support/transaction-contract.ts";

const database = withDatabase();
let pool: pg.Pool;
let citus: Dialect;
beforeAll(async () => {
  pool = database.pool();
  await pool.query("create table effects (key text)");
  citus = { kind: "citus", limits: await readOwnLimits(pool) };
});

const STRATEGIES: Readonly<Record<string, (parts: StoreParts) => Store>> = {
  advisory: createAdvisoryStore,
  unique: createUniqueStore,
  row: createRowStore,
  lease: (parts) => createLeaseStore(parts, 60_000),
};

describe("in the dialect of Citus", () => {
  for (const [name, createStore] of Object.entries(STRATEGIES)) {
    const create = (): Store => createStore(createStoreParts(pool, "oncekey", citus));
    const underTest = { name, pool: () => pool, create };
    describeStore(underTest);
    if (name !== "lease") describeTransactionalStore(underTest);
  }

  it("the timeouts of a transaction are ours, and those of the role where they are stricter", async () => {
    const strict = database.pool({ options: "-c statement_timeout=7s -c lock_timeout=1h" });
    const limits = await readOwnLimits(strict);
    const parts = createStoreParts(strict, "oncekey", { kind: "citus", limits });
    const claim = await claimed(createUniqueStore(parts), createTicket());
    const { rows } = await txOf(claim).query(
      `select current_setting('lock_timeout') as lock, current_setting('statement_timeout') as statement,
         current_setting('idle_in_transaction_session_timeout') as idle,
         current_setting('citus.propagate_set_commands') as propagated`,
    );
    await claim.release("free");
    expect(rows).toEqual([{ lock: "10s", statement: "7s", idle: "1min", propagated: "local" }]);
  });
});

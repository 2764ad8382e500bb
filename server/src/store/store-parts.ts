/** What every strategy is made of: one schema's statements and one pool's connections. */
import type { Pool } from "pg";
import { createCheckout } from "./checkout.ts";
import type { Checkout } from "./checkout.ts";
import { createStatements } from "./statements.ts";
import type { Statements } from "./statements.ts";
import type { Store } from "./store.ts";

export interface StoreParts {
  readonly schema: string;
  readonly statements: Statements;
  readonly checkout: Checkout;
  readonly sweep: Store["sweep"];
}

/** @param schema already checked against `SCHEMA_NAME`. */
export function createStoreParts(pool: Pool, schema: string): StoreParts {
  const statements = createStatements(schema);
  return {
    schema,
    statements,
    checkout: createCheckout(pool),
    sweep: async (batchSize) => (await pool.query(statements.sweep, [batchSize])).rowCount ?? 0,
  };
}

/** What every strategy is made of: one schema's statements and one pool's connections. */
import type { Pool } from "pg";
import { createCheckout } from "./checkout.ts";
import type { Checkout } from "./checkout.ts";
import { createStatements } from "./statements.ts";
import type { Statements } from "./statements.ts";

export interface StoreParts {
  readonly schema: string;
  readonly statements: Statements;
  readonly checkout: Checkout;
}

/** @param schema already checked against `SCHEMA_NAME`. */
export function createStoreParts(pool: Pool, schema: string): StoreParts {
  return { schema, statements: createStatements(schema), checkout: createCheckout(pool) };
}

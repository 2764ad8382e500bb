/** Parts of every strategy: one schema's statements and one pool's connections. */
import type { Pool } from "pg";
import { createConnect } from "./postgres/connection.ts";
import type { Connect } from "./postgres/connection.ts";
import { POSTGRES, readEngine } from "./postgres/dialect.ts";
import type { Dialect } from "./postgres/dialect.ts";
import { DEFAULT_MAX_HANDLER_MS } from "./postgres/timeouts.ts";
import { createStatements } from "./sql/statements.ts";
import type { Statements } from "./sql/statements.ts";

export interface StoreParts {
  readonly schema: string;
  readonly dialect: Dialect;
  readonly statements: Statements;
  readonly connect: Connect;
}

/** @param schema already checked against `SCHEMA_NAME`. */
export function createStoreParts(
  pool: Pool,
  schema: string,
  dialect: Dialect = POSTGRES,
): StoreParts {
  const statements = createStatements(schema, dialect);
  return { schema, dialect, statements, connect: createConnect(pool) };
}

/** The same parts for a route whose handlers may run for `maxHandlerMs`. */
export function withMaxHandlerMs(parts: StoreParts, maxHandlerMs: number): StoreParts {
  if (maxHandlerMs === DEFAULT_MAX_HANDLER_MS) return parts;
  const { schema, dialect } = parts;
  return { ...parts, statements: createStatements(schema, dialect, maxHandlerMs) };
}

/** The same for a database that is asked which engine it is. Throws what the database throws. */
export async function openStoreParts(pool: Pool, schema: string): Promise<StoreParts> {
  return createStoreParts(pool, schema, (await readEngine(pool, schema)).dialect);
}

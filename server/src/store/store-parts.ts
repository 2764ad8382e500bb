/** Parts of every strategy: one schema's statements, one pool's connections, and the codec of a route's records. */
import type { Pool } from "pg";
import { createConnect } from "./postgres/connection.ts";
import type { Connect } from "./postgres/connection.ts";
import { PLAIN_CODEC } from "./record-codec.ts";
import type { RecordCodec } from "./record-codec.ts";
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
  readonly codec: RecordCodec;
}

/** @param schema already checked against `SCHEMA_NAME`. */
export function createStoreParts(
  pool: Pool,
  schema: string,
  dialect: Dialect = POSTGRES,
): StoreParts {
  const statements = createStatements(schema, dialect);
  return { schema, dialect, statements, connect: createConnect(pool), codec: PLAIN_CODEC };
}

/** The options of a route that change its parts. */
export interface PartsOptions {
  readonly codec: RecordCodec;
  /** Longest time of a handler, in ms. */
  readonly maxHandlerMs: number;
}

/** Returns the parts for a route. */
export function partsOfRoute(parts: StoreParts, { codec, maxHandlerMs }: PartsOptions): StoreParts {
  if (maxHandlerMs === DEFAULT_MAX_HANDLER_MS) return { ...parts, codec };
  const { schema, dialect } = parts;
  return { ...parts, codec, statements: createStatements(schema, dialect, maxHandlerMs) };
}

/** The same for a database that is asked which engine it is. Throws what the database throws. */
export async function openStoreParts(pool: Pool, schema: string): Promise<StoreParts> {
  return createStoreParts(pool, schema, (await readEngine(pool, schema)).dialect);
}

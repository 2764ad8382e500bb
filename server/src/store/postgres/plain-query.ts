/** Queries whose values arrive as this code expects them, whatever type parsers the application has set on its pool or on pg. */
import type pg from "pg";
import type { Pool, PoolClient, QueryResult, QueryResultRow } from "pg";

// Object ids of pg_type; everything else stays text.
const PARSERS = new Map<number, (text: string) => unknown>([
  [16, (text) => text === "t"],
  [21, Number],
  [23, Number],
  [701, Number],
]);

/** Parsers of such a query, for one that is sent by hand. */
export const PLAIN_TYPES: pg.CustomTypesConfig = {
  getTypeParser: (oid: number) => PARSERS.get(oid) ?? String,
};

/** Sends one query. Booleans, `smallint`, `int` and `float8` are parsed, everything else is text. */
export function queryPlain<Row extends QueryResultRow>(
  database: Pool | PoolClient,
  text: string,
  values: readonly unknown[] = [],
): Promise<QueryResult<Row>> {
  return database.query<Row>({ text, values: [...values], types: PLAIN_TYPES });
}

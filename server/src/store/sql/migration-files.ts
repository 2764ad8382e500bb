/** The migrations as they are published: numbered SQL files with a placeholder for the schema. */
import { readdir, readFile } from "node:fs/promises";

// The sources are published beside the build, so both find the one copy of the SQL.
const FOLDER = new URL("../../../src/store/sql/migrations/", import.meta.url);

/** In the order in which they are applied. */
export async function migrationNames(): Promise<string[]> {
  return (await readdir(FOLDER)).filter((name) => name.endsWith(".sql")).toSorted();
}

/** The text of one, with {@link inSchema} still to be applied. */
export function readMigration(name: string): Promise<string> {
  return readFile(new URL(name, FOLDER), "utf8");
}

/** The script that gives a table of records its partitions. It is no migration: a table has partitions only on request. */
export const PARTITIONED_SCRIPT = "partitioned.sql";

/** Its text, with {@link inSchema} still to be applied. */
export function readPartitionedScript(): Promise<string> {
  return readFile(new URL(`../${PARTITIONED_SCRIPT}`, FOLDER), "utf8");
}

/** The table in which each notes itself as done. */
export const MIGRATIONS_TABLE = `create table {{schema}}.migrations (
  name text primary key,
  applied_at timestamptz not null default statement_timestamp()
);
`;

/** @param schema already checked: a plain lower-case identifier. */
export function inSchema(sql: string, schema: string): string {
  return sql.replaceAll("{{schema}}", `"${schema}"`);
}

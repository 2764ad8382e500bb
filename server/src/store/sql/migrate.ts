/** Applies the migrations under a lock, so that several processes may start at once. */
import type { Pool, PoolClient } from "pg";
import { acquire, giveBack } from "../postgres/connection.ts";
import { queryPlain } from "../postgres/plain-query.ts";
import { inSchema, MIGRATIONS_TABLE, migrationNames, readMigration } from "./migration-files.ts";
import { SCHEMA_NAME } from "./statements.ts";

/** Options of {@link migrate}. */
export interface MigrateOptions {
  /** The schema that holds the tables; the same as the plugin's option. `^[a-z_][a-z0-9_]{0,62}$`, default `oncekey`. */
  readonly schema?: string;
}

// "oncekey" and "migrate" as ASCII: an id of our own, so that no other tool's lock is taken for this one.
const MIGRATION_LOCK = "8029464456226010469";

/**
 * Creates or updates the tables. Append-only: each migration runs once, in order, all in one
 * transaction. Several processes may call it at the same moment.
 *
 * @returns the names of the migrations that this call applied.
 * @throws RangeError if `schema` is not a plain lower-case identifier. Errors of the database, with
 *   nothing changed.
 */
export async function migrate(pool: Pool, options: MigrateOptions = {}): Promise<string[]> {
  const schema = options.schema ?? "oncekey";
  if (!SCHEMA_NAME.test(schema)) {
    throw new RangeError(`schema must match ${SCHEMA_NAME.source}, got ${JSON.stringify(schema)}`);
  }
  const client = await acquire(pool);
  try {
    await client.query("begin isolation level read committed");
    const applied = await applyMissing(client, schema);
    await client.query("commit");
    giveBack(client, false);
    return applied;
  } catch (error) {
    // Destroyed rather than rolled back: whatever state it is in, the server ends its transaction.
    giveBack(client, true);
    throw error;
  }
}

interface Found {
  readonly hasSchema: boolean;
  readonly hasTable: boolean;
}

async function applyMissing(client: PoolClient, schema: string): Promise<string[]> {
  // Two at once: the second waits here until the first has committed, at most a minute, and its next statement sees the result.
  await client.query("set local lock_timeout = '60s'");
  await client.query("select pg_advisory_xact_lock($1::bigint)", [MIGRATION_LOCK]);
  // Looks for the schema first, because `create schema if not exists` needs the right to create one
  // even if it exists.
  const found = await queryPlain<Found>(
    client,
    `select to_regnamespace($1::text) is not null as "hasSchema", to_regclass($2::text) is not null as "hasTable"`,
    [`"${schema}"`, `"${schema}".migrations`],
  );
  const { hasSchema = false, hasTable = false } = found.rows[0] ?? {};
  if (!hasSchema) await client.query(`create schema if not exists "${schema}"`);
  if (!hasTable) await client.query(inSchema(MIGRATIONS_TABLE, schema));
  const { rows } = await queryPlain<{ name: string }>(
    client,
    `select name from "${schema}".migrations`,
  );
  const done = new Set(rows.map((row) => row.name));
  const missing = (await migrationNames()).filter((name) => !done.has(name));
  for (const name of missing) {
    await client.query(inSchema(await readMigration(name), schema));
    await client.query(`insert into "${schema}".migrations (name) values ($1::text)`, [name]);
  }
  return missing;
}

/** Applies the migrations under a lock, so that several processes may start at once. */
import type { Pool, PoolClient } from "pg";
import { acquire, giveBack } from "../postgres/connection.ts";
import { queryPlain } from "../postgres/plain-query.ts";
import { createDay, missingDays, readDays } from "./days.ts";
import {
  inSchema,
  MIGRATIONS_TABLE,
  migrationNames,
  PARTITIONED_SCRIPT,
  readMigration,
  readPartitionedScript,
} from "./migration-files.ts";
import { SCHEMA_NAME } from "./statements.ts";

/** Options of {@link migrate}. */
export interface MigrateOptions {
  /** The schema that holds the tables; the same as the plugin's option. `^[a-z_][a-z0-9_]{0,62}$`, default `oncekey`. */
  readonly schema?: string;
  /**
   * Whether the table of records gets partitions by the day of UUIDv7 keys: then expiry is a `DROP`. Only for a schema whose
   * tables this call creates.
   *
   * @default false (one table)
   */
  readonly partitioned?: boolean;
}

// "oncekey" and "migrate" as ASCII: an id of our own, so that no other tool's lock is taken for this one.
const MIGRATION_LOCK = "8029464456226010469";

/**
 * Creates or updates the tables. Append-only: each migration runs once, in order, all in one
 * transaction. Several processes may call it at the same moment.
 *
 * @returns the names of the migrations that this call applied.
 * @throws RangeError if `schema` is not a plain lower-case identifier. TypeError if `partitioned` is not a boolean. Error if
 *   `partitioned` is set and the table is there without partitions. Errors of the database, with nothing changed.
 */
export async function migrate(pool: Pool, options: MigrateOptions = {}): Promise<string[]> {
  const { schema = "oncekey", partitioned = false } = options;
  if (!SCHEMA_NAME.test(schema)) {
    throw new RangeError(`schema must match ${SCHEMA_NAME.source}, got ${JSON.stringify(schema)}`);
  }
  if (typeof partitioned !== "boolean")
    throw new TypeError(`partitioned must be true or false, got ${JSON.stringify(partitioned)}`);
  const client = await acquire(pool);
  try {
    await client.query("begin isolation level read committed");
    const isNew = await lockSchema(client, schema);
    if (partitioned && !isNew) await requirePartitions(client, schema);
    const applied = await applyMissing(client, schema);
    if (partitioned && isNew) {
      await addPartitions(client, schema);
      applied.push(PARTITIONED_SCRIPT);
    }
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
  readonly hasRecords: boolean;
}

/** Waits for its turn, and makes the schema unless it is there. Returns whether it has no table of records yet. */
async function lockSchema(client: PoolClient, schema: string): Promise<boolean> {
  // Two at once: the second waits here until the first has committed, at most a minute, and its next statement sees the result.
  await client.query("set local lock_timeout = '60s'");
  await client.query("select pg_advisory_xact_lock($1::bigint)", [MIGRATION_LOCK]);
  // Looks for the schema first, because `create schema if not exists` needs the right to create one
  // even if it exists.
  const found = await queryPlain<Found>(
    client,
    `select to_regnamespace($1::text) is not null as "hasSchema", to_regclass($2::text) is not null as "hasTable",
       to_regclass($3::text) is not null as "hasRecords"`,
    [`"${schema}"`, `"${schema}".migrations`, `"${schema}".records`],
  );
  const { hasSchema = false, hasTable = false, hasRecords = false } = found.rows[0] ?? {};
  if (!hasSchema) await client.query(`create schema if not exists "${schema}"`);
  if (!hasTable) await client.query(inSchema(MIGRATIONS_TABLE, schema));
  return !hasRecords;
}

async function applyMissing(client: PoolClient, schema: string): Promise<string[]> {
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

async function requirePartitions(client: PoolClient, schema: string): Promise<void> {
  const { rows } = await queryPlain<{ there: boolean }>(
    client,
    "select to_regclass($1::text) is not null as there",
    [`"${schema}".days`],
  );
  if (rows[0]?.there === true) return;
  throw new Error(
    `"${schema}".records is there already and has no partitions; how to give it some, and what that locks, is in docs/guides/partitions.md`,
  );
}

async function addPartitions(client: PoolClient, schema: string): Promise<void> {
  await client.query(inSchema(await readPartitionedScript(), schema));
  for (const day of missingDays(await readDays(client, schema)))
    await createDay(client, schema, day);
}

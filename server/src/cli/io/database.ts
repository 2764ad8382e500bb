/** The options by which every command finds its database, and the pool that they make. */
import { Command, InvalidArgumentError } from "@commander-js/extra-typings";
import pg from "pg";
import { ignoreError } from "../../store/postgres/connection.ts";
import { SCHEMA_NAME } from "../../store/sql/statements.ts";
import { sqlState } from "../../store/postgres/transaction.ts";
import { DatabaseFailure, UsageError } from "./exit-code.ts";

export interface DatabaseOptions {
  readonly databaseUrl?: string | undefined;
  readonly schema: string;
}

/** A pool on that database and the schema to use in it. */
export interface Database {
  readonly pool: pg.Pool;
  readonly schema: string;
}

// A person waits for this.
const CONNECT_MS = 5_000;
// One for the work and one beside it: two sessions are what it takes to see whether a lock is shared.
const CONNECTIONS = 2;

export function schemaCommand(name: string): Command<[], { schema: string }> {
  return new Command(name).option(
    "--schema <name>",
    "the schema of Oncekey's tables",
    parseSchema,
    "oncekey",
  );
}

export function databaseCommand(
  name: string,
): Command<[], { schema: string; databaseUrl?: string | undefined }> {
  return schemaCommand(name).option(
    "--database-url <url>",
    "postgres://… of the database; default: PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE",
  );
}

/** Connects for `use`, and prints the reason if the database failed. */
export async function withPool<Result>(
  options: DatabaseOptions,
  use: (database: Database) => Promise<Result>,
): Promise<Result> {
  const { schema } = options;
  const pool = createPool(options);
  try {
    return await use({ pool, schema });
  } catch (error) {
    throw databaseFailure(error, schema);
  } finally {
    await pool.end();
  }
}

/** Returns the failure of the database as the command reports it; a wrong command line and a bug as they are. */
export function databaseFailure(error: unknown, schema: string): unknown {
  if (error instanceof UsageError || isBug(error)) return error;
  return new DatabaseFailure(describeFailure(error, schema), { cause: error });
}

function createPool({ databaseUrl }: DatabaseOptions): pg.Pool {
  if (databaseUrl !== undefined && !isAddress(databaseUrl)) {
    // The given value is not repeated: it may hold a password.
    throw new UsageError("--database-url must be a URL like postgres://user@host:5432/database");
  }
  const pool = new pg.Pool({
    ...(databaseUrl === undefined ? {} : { connectionString: databaseUrl }),
    max: CONNECTIONS,
    connectionTimeoutMillis: CONNECT_MS,
    application_name: "oncekey",
  });
  pool.on("error", ignoreError);
  return pool;
}

export function describeFailure(error: unknown, schema: string): string {
  const state = sqlState(error);
  if (state === "42P01" || state === "3F000") {
    return `schema "${schema}" has no table of records; create it with: oncekey migrate --schema ${schema}`;
  }
  // A name with two addresses fails once for each, and the error that collects them has no message.
  if (error instanceof AggregateError) return error.errors.map(messageOf).join("; ");
  return messageOf(error);
}

// Without a host it is the local socket, which pg reads and URL does not.
function isAddress(url: string): boolean {
  return /^postgres(ql)?:\/\//.test(url) && URL.canParse(url.replace("@/", "@localhost/"));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function isBug(error: unknown): boolean {
  return error instanceof TypeError || error instanceof ReferenceError;
}

function parseSchema(value: string): string {
  if (SCHEMA_NAME.test(value)) return value;
  throw new InvalidArgumentError(`It must match ${SCHEMA_NAME.source}`);
}

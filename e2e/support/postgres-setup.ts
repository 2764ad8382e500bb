/** Vitest's global setup: one Postgres for the whole run, with a migrated template that test files clone. */
import { migrate } from "@oncekey/server";
import { Client, Pool } from "pg";
import type { TestProject } from "vitest/node";
import { startPostgres } from "./postgres.ts";
import type { Postgres } from "./postgres.ts";

declare module "vitest" {
  interface ProvidedContext {
    readonly postgres: ProvidedPostgres;
  }
}

/** How test files find the run's Postgres. */
export interface ProvidedPostgres {
  /** Connection string of database `postgres`. */
  readonly url: string;
  /** Name of the migrated database to clone. */
  readonly template: string;
}

const TEMPLATE = "oncekey_template";

interface Shared {
  users: number;
  readonly server: Promise<Postgres>;
}

// Each project loads this file by itself, so what they share hangs on the process.
const SHARED = Symbol.for("oncekey.test-postgres");
const globals = globalThis as typeof globalThis & { [SHARED]?: Shared | undefined };

/** Runs once for each project; the first one starts the server, the last teardown stops it. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const shared = (globals[SHARED] ??= { users: 0, server: prepare() });
  shared.users += 1;
  const server = await shared.server;
  project.provide("postgres", { url: server.url("postgres"), template: TEMPLATE });
  return async () => {
    shared.users -= 1;
    if (shared.users > 0) return;
    globals[SHARED] = undefined;
    await server.stop();
  };
}

async function prepare(): Promise<Postgres> {
  const server = await startPostgres({ fsync: false });
  try {
    await execute(server.url("postgres"), `create database ${TEMPLATE}`);
    const pool = new Pool({ connectionString: server.url(TEMPLATE), max: 2 });
    await migrate(pool, { schema: "oncekey" });
    await pool.end();
  } catch (error) {
    await server.stop();
    throw error;
  }
  return server;
}

async function execute(url: string, sql: string): Promise<void> {
  const client = new Client(url);
  await client.connect();
  await client.query(sql);
  await client.end();
}

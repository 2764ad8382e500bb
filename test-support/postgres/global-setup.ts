/** Vitest's global setup: one Postgres for the whole run. */
import type { TestProject } from "vitest/node";
import { startPgBouncer } from "./pgbouncer.ts";
import type { Pooler } from "./pgbouncer.ts";
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
  /** The same through PgBouncer in transaction mode, where the run asks for it. */
  readonly pooledUrl: string | undefined;
}

interface Shared {
  users: number;
  readonly server: Promise<Postgres>;
  readonly pooler: Promise<Pooler> | undefined;
}

// Each project loads this file by itself, so what they share hangs on the process.
const SHARED = Symbol.for("oncekey.test-postgres");
const globals = globalThis as typeof globalThis & { [SHARED]?: Shared | undefined };

/** Runs once for each project; the first one starts the server, the last teardown stops it. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const shared = (globals[SHARED] ??= start());
  shared.users += 1;
  const server = await shared.server;
  const pooler = await shared.pooler;
  project.provide("postgres", { url: server.url("postgres"), pooledUrl: pooler?.url });
  return async () => {
    shared.users -= 1;
    if (shared.users > 0) return;
    globals[SHARED] = undefined;
    await pooler?.stop();
    await server.stop();
  };
}

// ONCEKEY_POOLER=pgbouncer puts the pools of all tests behind it.
function start(): Shared {
  const server = startPostgres({ fsync: false });
  const { ONCEKEY_POOLER: asked } = process.env;
  if (asked !== undefined && asked !== "pgbouncer") {
    throw new RangeError(`ONCEKEY_POOLER must be pgbouncer or unset, got ${asked}`);
  }
  const pooler = asked && server.then((postgres) => startPgBouncer(postgres.url("postgres")));
  return { users: 0, server, pooler: pooler || undefined };
}

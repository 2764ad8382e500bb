/** Vitest's global setup: one Postgres for the whole run. */
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
}

interface Shared {
  users: number;
  readonly server: Promise<Postgres>;
}

// Each project loads this file by itself, so what they share hangs on the process.
const SHARED = Symbol.for("oncekey.test-postgres");
const globals = globalThis as typeof globalThis & { [SHARED]?: Shared | undefined };

/** Runs once for each project; the first one starts the server, the last teardown stops it. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const shared = (globals[SHARED] ??= { users: 0, server: startPostgres({ fsync: false }) });
  shared.users += 1;
  const server = await shared.server;
  project.provide("postgres", { url: server.url("postgres") });
  return async () => {
    shared.users -= 1;
    if (shared.users > 0) return;
    globals[SHARED] = undefined;
    await server.stop();
  };
}

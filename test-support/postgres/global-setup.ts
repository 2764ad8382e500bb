/** Vitest's global setup: one Postgres for the whole run, started when the first test file asks for it. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestProject } from "vitest/node";
import { startPgBouncer } from "./pgbouncer.ts";
import type { Pooler } from "./pgbouncer.ts";
import { startPostgres } from "./postgres.ts";
import type { Postgres } from "./postgres.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Answers with a {@link ProvidedPostgres} as JSON. The first request starts the server. */
    readonly postgresAt: string;
  }
}

/** Address of the run's Postgres, for test files. */
export interface ProvidedPostgres {
  /** Connection string of database `postgres`. */
  readonly url: string;
  /** The same through PgBouncer in transaction mode, if the run asks for a pooler. */
  readonly pooledUrl?: string;
}

interface Shared {
  users: number;
  readonly door: Promise<Door>;
}

interface Door {
  readonly url: string;
  readonly close: () => Promise<void>;
}

interface Started {
  readonly server: Pick<Postgres, "url" | "stop">;
  readonly pooler: Pooler | undefined;
}

// Each project loads this file by itself, so what they share hangs on the process.
const SHARED = Symbol.for("oncekey.test-postgres");
const globals = globalThis as typeof globalThis & { [SHARED]?: Shared | undefined };

/** Runs once for each project. The teardown of the last project stops what was started. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const shared = (globals[SHARED] ??= { users: 0, door: openDoor() });
  shared.users += 1;
  const door = await shared.door;
  project.provide("postgresAt", door.url);
  return async () => {
    shared.users -= 1;
    if (shared.users > 0) return;
    globals[SHARED] = undefined;
    await door.close();
  };
}

/** Opens an address of the loopback interface. Its path is a secret, because the answer holds a password. */
async function openDoor(): Promise<Door> {
  const path = `/${crypto.randomUUID()}`;
  let started: Promise<Started> | undefined;
  const server = createServer((request, response) => {
    if (request.url !== path) {
      response.writeHead(404).end();
      return;
    }
    started ??= start();
    started.then(
      (running) => response.end(JSON.stringify(addressesOf(running))),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  server.unref();
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}${path}`,
    async close() {
      await closed(server);
      const running = await started?.catch(() => undefined);
      await running?.pooler?.stop();
      await running?.server.stop();
    },
  };
}

// ONCEKEY_POOLER=pgbouncer puts the pools of all tests behind it.
async function start(): Promise<Started> {
  const { ONCEKEY_POOLER: asked } = process.env;
  if (asked !== undefined && asked !== "pgbouncer") {
    throw new RangeError(`ONCEKEY_POOLER must be pgbouncer or unset, got ${asked}`);
  }
  const server = givenServer() ?? (await startPostgres({ fsync: false }));
  const pooler = asked && (await startPgBouncer(server.url("postgres")));
  return { server, pooler: pooler || undefined };
}

// ONCEKEY_TEST_POSTGRES is a server that outlives this run: mutation testing runs the tests many times.
function givenServer(): Started["server"] | undefined {
  const { ONCEKEY_TEST_POSTGRES: given } = process.env;
  if (given === undefined) return undefined;
  const url = (database: string): string => {
    const address = new URL(given);
    address.pathname = database;
    return address.href;
  };
  return { url, stop: () => Promise.resolve() };
}

function addressesOf({ server, pooler }: Started): ProvidedPostgres {
  const url = server.url("postgres");
  return pooler === undefined ? { url } : { url, pooledUrl: pooler.url };
}

async function closed(server: Server): Promise<void> {
  const gone = once(server, "close");
  server.close();
  server.closeAllConnections();
  await gone;
}

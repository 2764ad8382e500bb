/** Everything that a run runs on: a Postgres, servers that reach it in different ways, and the proxy before them. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { migrate } from "@oncekey/server";
import { Pool } from "pg";
import type { Leftovers } from "../checker/settling.ts";
import { createFaultProxy } from "../proxy.ts";
import type { Upstream } from "../proxy.ts";
import { hasPgBouncer, startPgBouncer } from "../../support/pgbouncer.ts";
import { startPostgres } from "../../support/postgres.ts";
import { startDatabaseProxy } from "./database-proxy.ts";
import type { DatabaseProxy } from "./database-proxy.ts";
import { startServer } from "./server-process.ts";
import type { ServerProcess } from "./server-process.ts";
import { createTables, heldInDatabase } from "./tables.ts";

export interface Fleet {
  readonly servers: readonly ServerProcess[];
  /** Before the database of server `C`. */
  readonly databaseProxy: DatabaseProxy;
  /** Ends the pooler of server `D` as a crash would, and starts another. Undefined where this machine has none. */
  readonly restartPooler: (() => Promise<void>) | undefined;
  /** The rig's own way to the database. */
  readonly pool: Pool;
  /** A server that is up, by chance. */
  readonly anyServer: () => Promise<Upstream>;
  /** Where a server listens; waits while it is down. */
  readonly originOf: (name: string) => Promise<string>;
  /** Origin of the fault proxy before all of them. */
  readonly proxyOrigin: string;
  readonly leftovers: () => Promise<Leftovers[]>;
  readonly stop: () => Promise<void>;
}

const NAMES = ["A", "B", "C", "D"];
const HOUR_MS = 3_600_000;
const DATABASE = "postgres";
const DELAYED_COMMIT_MS = 400;
const DELAYED_REPLY_MS = 4_000;
const SETTLE_MS = 4_000;
const POLL_MS = 50;

export async function startFleet(names: readonly string[] = NAMES): Promise<Fleet> {
  const stops: (() => Promise<unknown>)[] = [];
  const stop = async (): Promise<void> => {
    // In the reverse order of their start: each stands on those before it.
    for (const one of stops.splice(0).toReversed()) await one();
  };
  try {
    const postgres = await startPostgres({ maxConnections: 260 });
    stops.push(() => postgres.stop());
    const url = postgres.url(DATABASE);
    const pool = new Pool({ connectionString: url, max: 4, application_name: "rig" });
    pool.on("error", () => undefined);
    stops.push(() => pool.end());
    await migrate(pool);
    await createTables(pool);
    const databaseProxy = await startDatabaseProxy({
      databaseUrl: url,
      delayMs: DELAYED_COMMIT_MS,
    });
    stops.push(() => databaseProxy.stop());
    const pooled = await startPooled(url, stops);
    const plans = [
      { name: "A", databaseUrl: url, clockMs: HOUR_MS },
      { name: "B", databaseUrl: url, clockMs: -HOUR_MS, isPipelined: true },
      { name: "C", databaseUrl: databaseProxy.url },
      { name: "D", databaseUrl: pooled?.url ?? url },
    ];
    const servers = plans
      .filter(({ name }) => names.includes(name))
      .map((plan) => startServer({ ...plan, outsideUrl: url }));
    stops.push(() => Promise.all(servers.map((server) => server.stop())));
    await Promise.all(servers.map((server) => server.up()));
    const anyServer = async (): Promise<Upstream> => {
      for (;;) {
        const up = servers.filter((server) => server.port() !== undefined);
        const server = up[Math.floor(Math.random() * up.length)];
        const port = server?.port();
        if (server !== undefined && port !== undefined)
          return { name: server.name, port, kill: () => server.signal("SIGKILL") };
        await sleep(POLL_MS);
      }
    };
    const { origin, close } = await startProxy(anyServer);
    stops.push(close);
    return {
      servers,
      databaseProxy,
      restartPooler: pooled?.restart,
      pool,
      anyServer,
      async originOf(name) {
        const server = servers.find((one) => one.name === name);
        await server?.up();
        return `http://127.0.0.1:${server?.port()}`;
      },
      proxyOrigin: origin,
      leftovers: () => findLeftovers(servers, pool),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface Pooled {
  readonly url: string;
  readonly restart: () => Promise<void>;
}

// Behind a proxy of its own, so that another pooler can take the place of one that was killed.
async function startPooled(
  url: string,
  stops: (() => Promise<unknown>)[],
): Promise<Pooled | undefined> {
  if (!hasPgBouncer) return undefined;
  let pooler = await startPgBouncer(url);
  const front = await startDatabaseProxy({ databaseUrl: pooler.url, delayMs: 0 });
  stops.push(
    () => pooler.stop(),
    () => front.stop(),
  );
  return {
    url: front.url,
    async restart() {
      await pooler.stop();
      pooler = await startPgBouncer(url);
      front.redirect(pooler.url);
    },
  };
}

async function startProxy(
  next: () => Promise<Upstream>,
): Promise<{ readonly origin: string; readonly close: () => Promise<void> }> {
  const handle = createFaultProxy({ next, delayMs: DELAYED_REPLY_MS });
  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.destroy());
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    async close() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

// A reply may leave before its connection is back, so this is asked until it is nothing, or for some seconds.
async function findLeftovers(servers: readonly ServerProcess[], pool: Pool): Promise<Leftovers[]> {
  const until = performance.now() + SETTLE_MS;
  for (;;) {
    const left = [
      { where: "the database", found: await heldInDatabase(pool) },
      ...(await Promise.all(servers.map((server) => inspect(server)))),
    ];
    const isClean = left.every(({ found }) => Object.values(found).every((count) => count === 0));
    if (isClean || performance.now() > until) return left;
    await sleep(POLL_MS);
  }
}

async function inspect(server: ServerProcess): Promise<Leftovers> {
  const { checkedOut, waiting, lostAfterEnd } = await server.inspect();
  return {
    where: `server ${server.name}`,
    found: {
      "clients checked out": checkedOut,
      "requests waiting for a client": waiting,
      "ends that nobody caused": server.unexpectedEnds(),
      "leases renewed after their end": lostAfterEnd,
    },
  };
}

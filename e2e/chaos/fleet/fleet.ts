/** Everything that a run runs on: a Postgres, servers that reach it in different ways, and the proxy before them. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { migrate } from "@oncekey/server";
import { Pool } from "pg";
import type { Leftovers } from "../checker/settling.ts";
import { createFaultProxy } from "../../fault-proxy/proxy.ts";
import type { Upstream } from "../../fault-proxy/proxy.ts";
import { makeFolder } from "@oncekey/test-support/postgres/binaries";
import { startPostgres } from "@oncekey/test-support/postgres/postgres";
import { startReaper } from "@oncekey/test-support/processes/reaper";
import { startDatabaseProxy } from "./database-proxy.ts";
import type { DatabaseProxy } from "./database-proxy.ts";
import { daysAround } from "../protocol/days.ts";
import type { Days } from "../protocol/days.ts";
import { addOldDays } from "./days.ts";
import { startServer } from "./server-process.ts";
import type { ServerProcess } from "./server-process.ts";
import { findLeftovers } from "./leftovers.ts";
import { startPooled } from "./pooled.ts";
import { createRandomFor } from "../protocol/random.ts";
import type { Random } from "../protocol/random.ts";
import { createTables } from "./tables.ts";

export interface Fleet {
  readonly servers: readonly ServerProcess[];
  /** Before the database of server `C`. */
  readonly databaseProxy: DatabaseProxy;
  /** Ends the pooler of server `D` as a crash would, and starts another. Undefined where this machine has none. */
  readonly restartPooler: (() => Promise<void>) | undefined;
  /** The rig's own way to the database. */
  readonly pool: Pool;
  /** Undefined: the records are one table, without partitions. */
  readonly days: Days | undefined;
  /** A server that is up, by chance. */
  readonly anyServer: () => Promise<Upstream>;
  /** Returns the origin of a server; waits while it is down. */
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
const POLL_MS = 50;

export interface FleetOptions {
  readonly seed: number;
  /** Default all. */
  readonly servers?: readonly string[] | undefined;
  /** Whether the records have partitions by the day of their key. Default not. */
  readonly partitioned?: boolean | undefined;
}

export async function startFleet({
  seed,
  servers: names = NAMES,
  partitioned = false,
}: FleetOptions): Promise<Fleet> {
  const stops: Stops = [];
  const stop = async (): Promise<void> => {
    // In the reverse order of their start: each stands on those before it.
    for (const one of stops.splice(0).toReversed()) await one();
  };
  try {
    const reaper = startReaper(await makeFolder("oncekey-rig-"));
    stops.push(() => reaper.stop());
    const days = partitioned ? daysAround(Date.now()) : undefined;
    const { url, pool } = await startDatabase(stops, days);
    const databaseProxy = await startDatabaseProxy({
      databaseUrl: url,
      delayMs: DELAYED_COMMIT_MS,
    });
    stops.push(() => databaseProxy.stop());
    const pooled = await startPooled(url, reaper, stops);
    const plans = [
      { name: "A", databaseUrl: url, clockMs: HOUR_MS },
      { name: "B", databaseUrl: url, clockMs: -HOUR_MS, isPipelined: true },
      { name: "C", databaseUrl: databaseProxy.url },
      { name: "D", databaseUrl: pooled?.url ?? url },
    ];
    const servers = plans
      .filter(({ name }) => names.includes(name))
      .map((plan) => startServer({ ...plan, outsideUrl: url, reaper }));
    stops.push(() => Promise.all(servers.map((server) => server.stop())));
    await Promise.all(servers.map((server) => server.up()));
    const random = createRandomFor(seed, "servers");
    const anyServer = (): Promise<Upstream> => chooseServer(servers, random);
    return {
      servers,
      databaseProxy,
      restartPooler: pooled?.restart,
      pool,
      days,
      anyServer,
      originOf: (name) => originOf(servers, name),
      proxyOrigin: await startProxy(anyServer, stops),
      leftovers: () => findLeftovers(servers, pool),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

type Stops = (() => Promise<unknown>)[];

async function startDatabase(
  stops: Stops,
  days: Days | undefined,
): Promise<{ readonly url: string; readonly pool: Pool }> {
  const postgres = await startPostgres({ maxConnections: 260 });
  stops.push(() => postgres.stop());
  const url = postgres.url(DATABASE);
  const pool = new Pool({ connectionString: url, max: 4, application_name: "rig" });
  pool.on("error", () => undefined);
  stops.push(() => pool.end());
  await migrate(pool, { partitioned: days !== undefined });
  if (days !== undefined) await addOldDays(pool, days);
  await createTables(pool);
  return { url, pool };
}

async function chooseServer(servers: readonly ServerProcess[], random: Random): Promise<Upstream> {
  for (;;) {
    const up = servers.flatMap((server): Upstream[] => {
      const port = server.port();
      if (port === undefined) return [];
      return [{ name: server.name, port, kill: () => server.signal("SIGKILL") }];
    });
    if (up.length > 0) return random.pick(up);
    await sleep(POLL_MS);
  }
}

async function originOf(servers: readonly ServerProcess[], name: string): Promise<string> {
  const server = servers.find((one) => one.name === name);
  await server?.up();
  return `http://127.0.0.1:${server?.port()}`;
}

async function startProxy(next: () => Promise<Upstream>, stops: Stops): Promise<string> {
  const handle = createFaultProxy({ next, delayMs: DELAYED_REPLY_MS });
  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.destroy());
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  stops.push(async () => {
    const closed = once(server, "close");
    server.close();
    server.closeAllConnections();
    await closed;
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A fault of a server, or of its connections, while it is stopped at a boundary. */
import { setTimeout as sleep } from "node:timers/promises";
import { until, within } from "@oncekey/test-support/processes/deadline";
import type { Pool } from "pg";
import type { Policy } from "../checker/case.ts";
import { borrow, giveBack } from "@oncekey/test-support/postgres/borrow";
import { BOUNDARIES } from "../protocol/boundaries.ts";
import type { Boundary } from "../protocol/boundaries.ts";
import type { Random } from "../protocol/random.ts";
import { IDLE_MS, LEASE_MS } from "../protocol/routes.ts";
import type { ServerProcess } from "../fleet/server-process.ts";

/**
 * `kill`: SIGKILL. `pause`: SIGSTOP, and SIGCONT when its lease and its transaction are over. `terminate`: its database sessions
 * are ended by pg_terminate_backend. `crash`: one of them is killed, so that Postgres ends all sessions and recovers from its log.
 */
export const BLOWS = ["kill", "pause", "terminate", "crash"] as const;

export type Blow = (typeof BLOWS)[number];

export interface Strike {
  readonly strategy: Policy["strategy"];
  readonly boundary: Boundary;
  readonly blow: Blow;
}

const STRATEGIES = ["advisory", "unique", "row", "lease"] as const;

/**
 * Every boundary under every strategy, so many times for each blow, in an order that the seed gives. A crash of Postgres hits all
 * that run at that moment, whatever their strategy: there every boundary gets one strategy.
 */
export function planStrikes(
  random: Random,
  times: Readonly<Record<Blow, number>>,
  only: Partial<Strike> = {},
): Strike[] {
  const all = BLOWS.flatMap((blow) =>
    Array.from({ length: times[blow] }, () =>
      BOUNDARIES.flatMap(({ name }) => {
        const strategies = blow === "crash" ? [random.pick(STRATEGIES)] : STRATEGIES;
        return strategies.map((strategy): Strike => ({ strategy, boundary: name, blow }));
      }),
    ).flat(),
  );
  const wanted = Object.entries(only);
  return random.shuffled(
    all.filter((strike) => wanted.every(([name, value]) => Reflect.get(strike, name) === value)),
  );
}

// More than two leases, and more than a transaction may be idle here.
const PAUSE_MS = Math.max(2 * LEASE_MS, IDLE_MS) + 500;

interface Means {
  readonly pool: Pool;
  readonly pauseMs: number | undefined;
}

/**
 * Strikes a server that is stopped at a boundary. When it resolves, the server runs or is on its
 * way back.
 */
export async function deal(
  blow: Blow,
  server: ServerProcess,
  { pool, pauseMs = PAUSE_MS }: Means,
): Promise<void> {
  switch (blow) {
    case "kill":
      server.signal("SIGKILL");
      return;
    case "pause":
      await sleep(pauseMs);
      break;
    case "terminate":
      await pool.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1",
        [`rig ${server.name}`],
      );
      break;
    case "crash":
      await crash(pool);
      break;
    default:
      blow satisfies never;
  }
  server.signal("SIGCONT");
  if (blow === "crash") await untilDatabaseAnswers(pool);
}

/** On a busy machine, recovery takes longer than the aftermath of a fault. */
async function untilDatabaseAnswers(pool: Pool): Promise<void> {
  const ask = (): Promise<boolean> =>
    pool.query("select").then(
      () => true,
      () => false,
    );
  await until(ask, { what: "the database to recover" });
}

/**
 * Kills one session's process, of the rig's own: Postgres cannot know what it left in shared memory, and starts over. Resolves
 * when Postgres has ended the other sessions for that.
 */
async function crash(pool: Pool): Promise<void> {
  const witness = await borrow(pool);
  const hasEnded = new Promise<void>((resolve) => witness.once("end", resolve));
  try {
    await killSession(pool);
    await within(hasEnded, { what: "the database to end its sessions" });
  } finally {
    giveBack(witness, true);
  }
}

async function killSession(pool: Pool): Promise<void> {
  const client = await borrow(pool);
  try {
    const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
    const [row] = rows;
    if (row !== undefined) process.kill(row.pid, "SIGKILL");
  } finally {
    giveBack(client, true);
  }
}

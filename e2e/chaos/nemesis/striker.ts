/** Works through the strikes, a few servers at a time, and counts what it has done. */
import type { Pool } from "pg";
import type { History } from "../history/history.ts";
import type { Random } from "../protocol/random.ts";
import type { ServerProcess } from "../fleet/server-process.ts";
import { deal } from "./strike.ts";
import type { Blow, Strike } from "./strike.ts";

export interface StrikerOptions {
  readonly strikes: readonly Strike[];
  readonly servers: readonly ServerProcess[];
  readonly pool: Pool;
  readonly history: History;
  readonly random: Random;
  readonly pauseMs: number | undefined;
  readonly signal: AbortSignal;
}

export interface Striker {
  /** Strikes that were dealt, by blow. One that no request comes by for is tried again, and then given up. */
  readonly dealt: Readonly<Record<Blow, number>>;
  readonly done: Promise<void>;
}

// One server strikes back up while another is hit; the others go on with the work.
const LANES = 2;
const PATIENCE_MS = 4_000;
const TRIES = 8;

export function startStriker(options: StrikerOptions): Striker {
  const { strikes, servers, pool, history, random, pauseMs, signal } = options;
  const dealt = { kill: 0, pause: 0, terminate: 0, crash: 0 };
  const queue = strikes.map((strike) => ({ strike, tries: 0 }));
  const busy = new Set<ServerProcess>();
  let numbers = 0;

  const takeServer = (): ServerProcess | undefined => {
    const free = servers.filter((one) => !busy.has(one) && one.port() !== undefined);
    return free[random.below(free.length)];
  };
  const lane = async (): Promise<void> => {
    for (;;) {
      const next = queue.shift();
      if (next === undefined || signal.aborted) return;
      const server = takeServer() ?? servers[0];
      if (server === undefined) return;
      busy.add(server);
      await server.up();
      if (await strikeOnce(server, next.strike)) dealt[next.strike.blow] += 1;
      else if (next.tries < TRIES) queue.push({ strike: next.strike, tries: next.tries + 1 });
      busy.delete(server);
    }
  };
  const strikeOnce = async (server: ServerProcess, strike: Strike): Promise<boolean> => {
    const { boundary, strategy, blow } = strike;
    numbers += 1;
    const fault = `${numbers}: ${blow} ${server.name} at ${boundary} of ${strategy}`;
    // A crash of Postgres affects all servers.
    const struck = blow === "crash" ? undefined : [server.name];
    history.add({ kind: "fault", phase: "begin", fault, servers: struck });
    const isCaught = await server.catchIn({ boundary, strategy }, PATIENCE_MS);
    const isDealt = isCaught && (await isStruck(server, blow));
    history.add({ kind: "fault", phase: "end", fault });
    return isDealt;
  };
  const isStruck = async (server: ServerProcess, blow: Blow): Promise<boolean> => {
    try {
      await deal(blow, server, { pool, pauseMs });
      return true;
    } catch {
      // The other lane may have struck Postgres at this moment.
      server.signal("SIGCONT");
      return false;
    } finally {
      await server.up();
    }
  };
  return {
    dealt,
    done: Promise.all(Array.from({ length: LANES }, lane)).then(() => undefined),
  };
}

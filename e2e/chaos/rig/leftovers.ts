/** Resources that servers and database still hold when the work is over. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Pool } from "pg";
import type { Leftovers } from "../checker/settling.ts";
import type { ServerProcess } from "./server-process.ts";
import { heldInDatabase } from "./tables.ts";

// Ends only what hangs: a line that is half open takes ten seconds, and a busy machine more.
const SETTLE_MS = 30_000;
const POLL_MS = 50;

/** Asks until nothing is left, because a reply may leave before its connection is back. */
export async function findLeftovers(
  servers: readonly ServerProcess[],
  pool: Pool,
): Promise<Leftovers[]> {
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
  const where = `server ${server.name}`;
  const inspection = await server.inspect();
  if (inspection === undefined) return { where, found: { "questions without an answer": 1 } };
  const { checkedOut, waiting, unendedPools, lostAfterEnd } = inspection;
  return {
    where,
    found: {
      "clients checked out": checkedOut,
      "requests waiting for a client": waiting,
      "pools that do not end": unendedPools,
      "ends that nobody caused": server.unexpectedEnds(),
      "leases renewed after their end": lostAfterEnd,
    },
  };
}

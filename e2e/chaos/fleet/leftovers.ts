/** Resources that servers and database still hold when the work is over. */
import type { Pool } from "pg";
import { LimitError, until } from "@oncekey/test-support/processes/deadline";
import type { Leftovers } from "../checker/settling.ts";
import type { ServerProcess } from "./server-process.ts";
import { heldInDatabase } from "./tables.ts";

// Ends only what hangs: a line that is half open takes ten seconds, and a busy machine more.
const SETTLE_MS = 30_000;

/** Asks until nothing is left, because a reply may leave before its connection is back. */
export async function findLeftovers(
  servers: readonly ServerProcess[],
  pool: Pool,
): Promise<Leftovers[]> {
  let left: Leftovers[] = [];
  const isClean = async (): Promise<boolean> => {
    left = [
      { where: "the database", found: await heldInDatabase(pool) },
      ...(await Promise.all(servers.map((server) => inspect(server)))),
    ];
    return left.every(({ found }) => Object.values(found).every((count) => count === 0));
  };
  try {
    await until(isClean, { what: "resources to be given back", patienceMs: SETTLE_MS });
  } catch (error) {
    // The checker judges what is left.
    if (!(error instanceof LimitError)) throw error;
  }
  return left;
}

async function inspect(server: ServerProcess): Promise<Leftovers> {
  const where = `server ${server.name}`;
  const inspection = await server.inspect();
  if (inspection === undefined) return { where, found: { "questions without an answer": 1 } };
  const { checkedOut, waiting, unendedPools, lostAfterEnd, listenersLeft } = inspection;
  return {
    where,
    found: {
      "clients checked out": checkedOut,
      "requests waiting for a client": waiting,
      "pools that do not end": unendedPools,
      "ends that nobody caused": server.unexpectedEnds(),
      "leases renewed after their end": lostAfterEnd,
      "listeners left on idle connections": listenersLeft,
    },
  };
}

/** Counts listeners that a use of a connection has left on it. */
import type { Pool, PoolClient } from "pg";

const EVENTS = ["error", "end", "notice", "drain"] as const;

/** Watches every connection that the pool opens from now on. Returns how many listeners there are beyond those of its first use. */
export function watchListeners(pool: Pool): () => number {
  const clients = new Map<PoolClient, number>();
  pool.on("release", (_error, client) => {
    // The pool adds its own listener right after this event.
    setImmediate(() => {
      if (!clients.has(client)) clients.set(client, countOf(client));
    });
  });
  pool.on("remove", (client) => clients.delete(client));
  return () => {
    let left = 0;
    for (const [client, first] of clients) left += Math.max(0, countOf(client) - first - SLACK);
    return left;
  };
}

// The pool and a use that goes on add one or two.
const SLACK = 3;

function countOf(client: PoolClient): number {
  return EVENTS.reduce((sum, event) => sum + client.listenerCount(event), 0);
}

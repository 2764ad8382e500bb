/** Takes a client out of a pool that may be struck at any moment. */
import type { Pool, PoolClient } from "pg";

/** Error listener of a client while it is out of its pool. */
function survive(): void {}

/**
 * Uses a callback: a promise would leave a moment without an error listener, and a terminated
 * backend reports it right after its first "ready".
 */
export function borrow(pool: Pool): Promise<PoolClient> {
  return new Promise((resolve, reject) => {
    pool.connect((error, client) => {
      if (client === undefined) return reject(error);
      client.on("error", survive);
      return resolve(client);
    });
  });
}

export function giveBack(client: PoolClient, isToBeClosed = false): void {
  client.release(isToBeClosed);
  client.removeListener("error", survive);
}

/** The way of server `D` to its database: through a PgBouncer that can be killed. */
import { hasPgBouncer, startPgBouncer } from "@oncekey/test-support/postgres/pgbouncer";
import type { Reaper } from "@oncekey/test-support/processes/reaper";
import { startDatabaseProxy } from "./database-proxy.ts";

export interface Pooled {
  readonly url: string;
  readonly restart: () => Promise<void>;
}

/**
 * Starts a pooler behind a proxy of its own, so that another one can replace a killed pooler.
 * Returns `undefined` if this machine has no PgBouncer. Adds its end to `stops`.
 */
export async function startPooled(
  url: string,
  reaper: Reaper,
  stops: (() => Promise<unknown>)[],
): Promise<Pooled | undefined> {
  if (!hasPgBouncer) return undefined;
  const start = () => startPgBouncer(url, { reaper });
  let pooler = await start();
  const front = await startDatabaseProxy({ databaseUrl: pooler.url, delayMs: 0 });
  stops.push(
    () => pooler.stop(),
    () => front.stop(),
  );
  return {
    url: front.url,
    async restart() {
      await pooler.stop();
      // On a busy machine one may not come up in time: without any the server would be cut off for the rest of the run.
      pooler = await start().catch(start);
      front.redirect(pooler.url);
    },
  };
}

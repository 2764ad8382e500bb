/** A pool that is ended and replaced while requests use it, as an application does that moves a tenant. */
import { Pool } from "pg";
import type { PoolConfig } from "pg";

export interface TurningPool {
  readonly current: () => Pool;
  /** Replaces the pool and ends the one before. Resolves with `true` once that has ended. */
  readonly turn: () => Promise<boolean>;
  /** Returns how many replaced pools have not ended. */
  readonly unended: () => number;
  readonly end: () => Promise<void>;
}

export function createTurningPool(config: PoolConfig): TurningPool {
  const make = (): Pool => {
    const pool = new Pool(config);
    pool.on("error", () => undefined);
    return pool;
  };
  let current = make();
  let unended = 0;
  return {
    current: () => current,
    async turn() {
      const before = current;
      current = make();
      unended += 1;
      // Waits until its connections are no longer in use.
      await before.end();
      unended -= 1;
      return true;
    },
    unended: () => unended,
    end: () => current.end(),
  };
}

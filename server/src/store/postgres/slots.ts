/** Bounds the connections of a pool that Oncekey uses at a time, and queues requests for them. */
import type { Pool } from "pg";

/** No connection became free in time. */
export class ConnectionTimeoutError extends Error {
  override name = "ConnectionTimeoutError";
}

export interface Slots {
  /** Takes a slot if one is free, and returns whether it did. */
  takeFree(): boolean;
  /** Waits in order for a free slot. @throws ConnectionTimeoutError after `waitMs`. */
  take(waitMs: number): Promise<void>;
  free(): void;
}

const SLOTS = new WeakMap<Pool, Slots>();

/**
 * The slots of a pool: one set for all registrations that use it. A tenth of the pool, at least one, has no slot, so that the
 * rest of the application finds a connection (a pool of one is taken whole).
 */
export function slotsOf(pool: Pool): Slots {
  const { max } = pool.options;
  const slots =
    SLOTS.get(pool) ?? createSlots(Math.max(1, max - Math.max(1, Math.floor(max / 10))));
  SLOTS.set(pool, slots);
  return slots;
}

function createSlots(limit: number): Slots {
  let taken = 0;
  const queue: (() => void)[] = [];
  function takeFree(): boolean {
    if (taken >= limit) return false;
    taken += 1;
    return true;
  }

  return {
    takeFree,
    take(waitMs) {
      if (takeFree()) return Promise.resolve();
      return new Promise((resolve, reject) => {
        const turn = (): void => {
          clearTimeout(timer);
          resolve();
        };
        const timer = setTimeout(() => {
          queue.splice(queue.indexOf(turn), 1);
          reject(new ConnectionTimeoutError("all connections that Oncekey may use are in use"));
        }, waitMs);
        queue.push(turn);
      });
    },
    free() {
      // The slot goes straight to the longest waiter, so that a newcomer cannot overtake.
      const next = queue.shift();
      if (next) next();
      else taken -= 1;
    },
  };
}

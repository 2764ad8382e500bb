/** A clock that moves only on command and replaces the one of the machine: weeks of waiting take a moment. */
import { AsyncResource } from "node:async_hooks";

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly fire: () => void;
}

export interface VirtualTime {
  /** The true time, which a server's clock shows. */
  now(): number;
  /** Calls `fire` in `ms` milliseconds. */
  after(ms: number, fire: () => void): void;
  /** Runs everything that is due now, and then all timers of the next `ms` milliseconds, in their order. */
  pass(ms: number): Promise<void>;
}

// The client's clock never goes back between two uses: a UUIDv7 is never older than the one before it.
let latestAt = Date.UTC(2026, 0, 1);

/**
 * Runs `use` with a virtual clock behind `setTimeout`, `Date.now` and `performance.now`, and with chance that repeats itself.
 *
 * @param skewMs difference of the client's clock from the true time.
 * @param turns index of the timer that goes first among timers of one instant, in a cycle; empty: in their order.
 */
export async function withVirtualTime(
  skewMs: number,
  turns: readonly number[],
  use: (time: VirtualTime) => Promise<void>,
): Promise<void> {
  const { setTimeout: realSetTimeout, clearTimeout: realClearTimeout } = globalThis;
  const { now: realDateNow } = Date;
  const { random: realRandom } = Math;
  const startAt = latestAt - skewMs;
  let now = startAt;
  let order = 0;
  let chance = 1;
  let taken = 0;
  const timers = new Map<number, Timer>();
  const add = (fire: () => void, ms = 0): number => {
    order += 1;
    timers.set(order, { at: now + Math.max(0, ms), order, fire: AsyncResource.bind(fire) });
    return order;
  };
  Object.assign(globalThis, {
    setTimeout: add,
    clearTimeout: (id: number | undefined) => void timers.delete(id ?? 0),
  });
  Date.now = () => {
    latestAt = Math.max(latestAt, Math.floor(now + skewMs));
    return Math.floor(now + skewMs);
  };
  performance.now = () => now - startAt;
  // The generator of Park and Miller.
  Math.random = () => {
    chance = (chance * 48_271) % 2_147_483_647;
    return chance / 2_147_483_647;
  };
  try {
    await use({
      now: () => now,
      after: (ms, fire) => void add(fire, ms),
      async pass(ms) {
        const until = now + ms;
        await settled();
        for (;;) {
          const due = first(timers);
          const next = due[(turns[taken++ % turns.length] ?? 0) % due.length];
          if (next === undefined || next.at > until) break;
          timers.delete(next.order);
          now = next.at;
          next.fire();
          await settled();
        }
        now = until;
      },
    });
  } finally {
    Object.assign(globalThis, { setTimeout: realSetTimeout, clearTimeout: realClearTimeout });
    Date.now = realDateNow;
    Math.random = realRandom;
    // It stands on the prototype.
    Reflect.deleteProperty(performance, "now");
  }
}

/** Turns of the event loop after which nothing goes on by itself: a Blob is read in other threads, and takes more than one. */
const TURNS = 4;

/** Resolves when every promise that can go on without the clock has gone on. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn += 1) {
    await new Promise((resolve) => void setImmediate(resolve));
  }
}

/** Returns the timers that are due next, all at one instant, in the order in which they were set. */
function first(timers: ReadonlyMap<number, Timer>): Timer[] {
  let found: Timer[] = [];
  for (const timer of timers.values()) {
    const at = found[0]?.at ?? Infinity;
    if (timer.at < at) found = [timer];
    else if (timer.at === at) found.push(timer);
  }
  return found;
}

/** Replaces the machine's clock by one that advances on demand: a lease expires in a moment. */

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly fire: () => void;
}

export interface VirtualTime {
  /** Milliseconds since the start. */
  now(): number;
  /** Resolves in `ms` milliseconds. */
  after(ms: number): Promise<void>;
  /** Moves on by `ms` milliseconds and fires what is due by then, in its order. */
  pass(ms: number): void;
  /** Advances to the next instant with timers and fires them; `false` if there is none. */
  skip(): boolean;
}

/** Runs `use` with a virtual clock behind `setTimeout` and `performance.now`, and with these numbers repeated for chance. */
export async function withVirtualTime<Result>(
  chances: readonly number[],
  use: (time: VirtualTime) => Promise<Result>,
): Promise<Result> {
  const { setTimeout: realSetTimeout, clearTimeout: realClearTimeout } = globalThis;
  const { random } = Math;
  let now = 0;
  let order = 0;
  let drawn = 0;
  const timers = new Map<number, Timer>();
  const add = (fire: (value?: unknown) => void, ms = 0, value?: unknown): object => {
    order += 1;
    timers.set(order, { at: now + Math.max(0, ms), order, fire: () => fire(value) });
    const timer = { order, unref: () => timer };
    return timer;
  };
  const fireFirst = (until: number): boolean => {
    const next = first(timers);
    if (next === undefined || next.at > until) return false;
    timers.delete(next.order);
    now = Math.max(now, next.at);
    next.fire();
    return true;
  };
  Object.assign(globalThis, {
    setTimeout: add,
    clearTimeout: (timer?: { readonly order: number }) => void timers.delete(timer?.order ?? 0),
  });
  performance.now = () => now;
  Math.random = () => chances[drawn++ % chances.length] ?? 0.5;
  try {
    return await use({
      now: () => now,
      after: (ms) => new Promise((resolve) => void add(() => resolve(), ms)),
      pass(ms) {
        const until = now + ms;
        while (fireFirst(until));
        now = until;
      },
      skip() {
        if (!fireFirst(Infinity)) return false;
        while (fireFirst(now));
        return true;
      },
    });
  } finally {
    Object.assign(globalThis, { setTimeout: realSetTimeout, clearTimeout: realClearTimeout });
    Math.random = random;
    // It stands on the prototype.
    Reflect.deleteProperty(performance, "now");
  }
}

function first(timers: ReadonlyMap<number, Timer>): Timer | undefined {
  let found: Timer | undefined;
  for (const timer of timers.values()) {
    if (found === undefined || timer.at < found.at) found = timer;
  }
  return found;
}

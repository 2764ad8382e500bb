/** One live run for each instance: a second one in the same tick or later is the same promise. */

export interface Coalescer<Value> {
  /**
   * The run of `id` with the same identity, where one is live or waits for its turn and is not told yet; otherwise a new one, which
   * starts as soon as those before it have ended.
   */
  run(id: string, identity: string, start: () => Promise<Value>): Promise<Value>;
  /**
   * Tells the run whose turn it is before its end: nobody joins it any more, and the next one still waits for that end. With an
   * identity, tells the run of it that waits for its turn, which it does not take then.
   */
  tell(id: string, value: Value, waiting?: string): void;
  /** Whether any has not ended, told or not. */
  isLive(id: string): boolean;
}

interface Live<Value> {
  /** `undefined` once it is told. */
  identity: string | undefined;
  readonly promise: Promise<Value>;
  readonly tell: (value: Value) => void;
  readonly over: Promise<unknown>;
}

export function createCoalescer<Value>(): Coalescer<Value> {
  // Of one instance, in the order of their turns: the first one runs, the others wait.
  const live = new Map<string, readonly Live<Value>[]>();
  return {
    isLive: (id) => live.has(id),
    tell(id, value, waiting) {
      const [first, ...others] = live.get(id) ?? [];
      const meant = waiting === undefined ? first : others.find((one) => one.identity === waiting);
      if (meant === undefined) return;
      meant.identity = undefined;
      meant.tell(value);
    },
    run(id, identity, start) {
      const before = live.get(id) ?? [];
      const same = before.find((one) => one.identity === identity);
      if (same !== undefined) return same.promise;
      let tell: ((value: Value) => void) | undefined;
      const told = new Promise<Value>((resolve) => (tell = resolve));
      const begin = (): Promise<Value> => (entry.identity === undefined ? told : start());
      const last = before.at(-1);
      const over = last === undefined ? start() : last.over.then(begin, begin);
      const promise = Promise.race([told, over]);
      const entry: Live<Value> = { identity, promise, tell: (value) => tell?.(value), over };
      live.set(id, [...before, entry]);
      const end = (): void => {
        const left = (live.get(id) ?? []).filter((other) => other !== entry);
        if (left.length === 0) live.delete(id);
        else live.set(id, left);
      };
      over.then(end, end);
      return promise;
    },
  };
}

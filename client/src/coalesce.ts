/** One live run for each instance: a second one in the same tick or later is the same promise. */

export interface Coalescer<Value> {
  /**
   * The run of `id` with the same identity, where one is live or waits for its turn; otherwise a new one, which starts as soon
   * as those before it have ended.
   */
  run(id: string, identity: string, start: () => Promise<Value>): Promise<Value>;
  isLive(id: string): boolean;
}

interface Live<Value> {
  readonly identity: string;
  readonly promise: Promise<Value>;
}

export function createCoalescer<Value>(): Coalescer<Value> {
  // Of one instance, in the order of their turns: the first one runs, the others wait.
  const live = new Map<string, readonly Live<Value>[]>();
  return {
    isLive: (id) => live.has(id),
    run(id, identity, start) {
      const before = live.get(id) ?? [];
      const same = before.find((entry) => entry.identity === identity);
      if (same !== undefined) return same.promise;
      const last = before.at(-1)?.promise;
      const promise = last === undefined ? start() : last.then(start, start);
      const entry = { identity, promise };
      live.set(id, [...before, entry]);
      const end = (): void => {
        const left = (live.get(id) ?? []).filter((other) => other !== entry);
        if (left.length === 0) live.delete(id);
        else live.set(id, left);
      };
      promise.then(end, end);
      return promise;
    },
  };
}

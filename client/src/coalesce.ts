/** One live run for each instance: a second one in the same tick or later is the same promise. */

export interface Coalescer<Value> {
  /**
   * The live run of `id` where its identity is the same; otherwise a new one, which starts as soon as the live one, if any,
   * has ended.
   */
  run(id: string, identity: string, start: () => Promise<Value>): Promise<Value>;
  isLive(id: string): boolean;
}

interface Live<Value> {
  readonly identity: string;
  readonly promise: Promise<Value>;
}

export function createCoalescer<Value>(): Coalescer<Value> {
  const live = new Map<string, Live<Value>>();
  return {
    isLive: (id) => live.has(id),
    run(id, identity, start) {
      const current = live.get(id);
      if (current?.identity === identity) return current.promise;
      const promise = current === undefined ? start() : current.promise.then(start, start);
      const entry = { identity, promise };
      live.set(id, entry);
      const end = (): void => {
        if (live.get(id) === entry) live.delete(id);
      };
      promise.then(end, end);
      return promise;
    },
  };
}

import type { Claim } from "../store.ts";

/** The claim of a request without a key on a route that holds no transaction: there is nothing to keep and nothing to lose. */
export function createKeylessClaim(): Claim {
  const finished = new Map<string, string>();
  return {
    tx: undefined,
    attempt: 1,
    signal: new AbortController().signal,
    steps: {
      read: (name) => finished.get(name),
      async write(name, json) {
        finished.set(name, json);
      },
    },
    complete: async () => ({ kind: "stored", lifetimeMs: 0, askedAt: 0, split: false }),
    release: async () => undefined,
  };
}

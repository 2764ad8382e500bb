/** Claim of a request without a key: a transaction that stores no record. */
import type { StoreParts } from "../store-parts.ts";
import type { Claim, Completion } from "../store.ts";
import { endingClaim } from "../ending-claim.ts";
import { createLastWrites } from "./last-writes.ts";

const NOTHING_STORED: Completion = {
  kind: "stored",
  lifetimeMs: 0,
  fenceMs: 0,
  askedAt: 0,
  split: false,
};

/** Makes the claim of a request without a key on a lease route: nothing is stored, and only its last writes are committed. */
export function createKeylessClaim(parts: StoreParts): Claim {
  const finished = new Map<string, string>();
  const lastWrites = createLastWrites(parts);
  return endingClaim({
    tx: undefined,
    attempt: 1,
    signal: new AbortController().signal,
    steps: {
      read: (name) => finished.get(name),
      begin: () => () => {},
      async write(name, json) {
        finished.set(name, json);
      },
    },
    lastWrites,
    async complete(_response, writes) {
      if (writes === "discard" || !lastWrites.isOpen()) {
        await lastWrites.abandon();
        return NOTHING_STORED;
      }
      const outcome = await lastWrites.end([], () => true);
      if (outcome.kind === "rolled-back" || outcome.kind === "unknown") return outcome;
      return NOTHING_STORED;
    },
    async release(how) {
      if (how === "timed-out") return lastWrites.terminate();
      await lastWrites.abandon();
      return undefined;
    },
  });
}

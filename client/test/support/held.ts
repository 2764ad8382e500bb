import { done } from "./server.ts";
import type { Reply } from "./server.ts";

export interface Held {
  /** Answers once `go` is called. */
  readonly reply: Reply;
  /** Resolves when a request for it has arrived. */
  readonly arrived: Promise<void>;
  readonly go: () => void;
}

export function createHeld(): Held {
  const arrival = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  return {
    arrived: arrival.promise,
    go: release.resolve,
    async reply(response, seen) {
      arrival.resolve();
      await release.promise;
      done(response, seen);
    },
  };
}

/** Wraps a claim, for layers that add something to its end. */
import type { Claim } from "../store/store.ts";

/** Returns the claim with the members of `own` in place of its own. The signal is made when it is first read. */
export function wrapClaim(
  claim: Claim,
  own: Partial<Pick<Claim, "steps" | "complete" | "release">>,
): Claim {
  return {
    tx: claim.tx,
    attempt: claim.attempt,
    get signal() {
      return claim.signal;
    },
    steps: claim.steps,
    lastWrites: claim.lastWrites,
    complete: (response, writes) => claim.complete(response, writes),
    release: (how) => claim.release(how),
    ...own,
  };
}

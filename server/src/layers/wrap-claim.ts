/** Wraps a claim, for a layer that changes what it stores. */
import { endingClaim } from "../store/ending-claim.ts";
import type { Claim } from "../store/store.ts";

/** Returns the claim with the members of `own` in place of its own. The signal is made when it is first read. */
export function wrapClaim(
  claim: Claim,
  own: Partial<Pick<Claim, "steps" | "complete" | "release">>,
): Claim {
  return endingClaim({
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
  });
}

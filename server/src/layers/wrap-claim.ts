/** A claim in front of another, for those who have something to add to how it ends. */
import type { Claim } from "../store/store.ts";

/** The same claim but for what `own` does in its place. Its signal is made only where somebody asks for it. */
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

/** A claim whose end is published. */
import type { Claim } from "../store/store.ts";
import { publish } from "../telemetry/events.ts";
import { digestKey } from "../telemetry/key-digest.ts";
import type { CompleteEvent, RouteLabels } from "../telemetry/events.ts";
import { wrapClaim } from "./wrap-claim.ts";

/** The same claim; each way to end it is published on `oncekey:complete`. */
export function observedClaim(claim: Claim, labels: RouteLabels, key: string | undefined): Claim {
  async function observed<Result>(
    end: () => Promise<Result>,
    outcomeOf: (result: Result) => CompleteEvent["outcome"],
  ): Promise<Result> {
    const startedAt = performance.now();
    const tell = (outcome: CompleteEvent["outcome"]): void =>
      publish("oncekey:complete", () => ({
        ...labels,
        keyDigest: digestKey(key),
        outcome,
        completeMs: performance.now() - startedAt,
      }));
    try {
      const result = await end();
      tell(outcomeOf(result));
      return result;
    } catch (error) {
      tell("failed");
      throw error;
    }
  }

  return wrapClaim(claim, {
    complete: (response, writes) =>
      observed(
        () => claim.complete(response, writes),
        ({ kind }) => (kind === "stored" && key === undefined ? "committed" : kind),
      ),
    release: (how) =>
      observed(
        () => claim.release(how),
        () => (how === "failed" ? "failed" : "released"),
      ),
  });
}

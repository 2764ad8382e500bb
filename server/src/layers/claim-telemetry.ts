/** Publishes the end of a claim. */
import type { Claim, ClaimEnd } from "../store/store.ts";
import { hasSubscribers, publish } from "../telemetry/events.ts";
import { digestKey } from "../telemetry/key-digest.ts";
import type { CompleteEvent, RouteLabels } from "../telemetry/events.ts";

/** Publishes each way to end the claim on `oncekey:complete`, if the channel has subscribers when the claim is taken. */
export function publishEnd(
  claim: Claim,
  labelsOf: () => RouteLabels,
  key: string | undefined,
): void {
  if (!hasSubscribers("oncekey:complete")) return;
  claim.onEnd((end) =>
    publish("oncekey:complete", () => ({
      ...labelsOf(),
      keyDigest: digestKey(key),
      outcome: outcomeOf(end, key),
      completeMs: performance.now() - end.startedAt,
    })),
  );
}

function outcomeOf(end: ClaimEnd, key: string | undefined): CompleteEvent["outcome"] {
  if (end.kind !== "completed")
    return end.kind === "released" && end.how !== "failed" ? "released" : "failed";
  const { kind } = end.completion;
  return kind === "stored" && key === undefined ? "committed" : kind;
}

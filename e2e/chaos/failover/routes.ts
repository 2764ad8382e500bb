/** The routes of the servers under failover: one for each strategy. */
import type { Strategy } from "@oncekey/server";
import type { Policy } from "../checker/case.ts";

export const STRATEGIES: readonly Strategy[] = ["advisory", "unique", "row", "lease"];

const DAY_MS = 86_400_000;

/** Returns the promises for a target. */
export function policyOf(target: string): Policy {
  const strategy = STRATEGIES.find((one) => target === `POST /${one}`);
  if (strategy === undefined) throw new RangeError(`no route is ${target}`);
  return { strategy, mismatch: "replay", retentionMs: DAY_MS };
}

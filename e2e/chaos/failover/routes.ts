/** The routes of the servers under failover: one for each strategy. */
import { STRATEGIES } from "../../shop/strategy-shop.ts";
import type { Policy } from "../checker/case.ts";

const DAY_MS = 86_400_000;

/** Returns the promises for a target. */
export function policyOf(target: string): Policy {
  const strategy = STRATEGIES.find((one) => target === `POST /${one}`);
  if (strategy === undefined) throw new RangeError(`no route is ${target}`);
  return { strategy, mismatch: "replay", retentionMs: DAY_MS };
}

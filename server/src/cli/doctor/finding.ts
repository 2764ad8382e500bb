/** Result of one check of the doctor. */
import type { PoolClient } from "pg";

/** `warn`: works, and could go better. `fail`: a promise of Oncekey does not hold here. */
export type Verdict = "ok" | "warn" | "fail";

export interface Finding {
  /** Subject of the check, in a word or two. */
  readonly check: string;
  readonly verdict: Verdict;
  readonly found: string;
  /** Advice that fixes the finding; never with `ok`. */
  readonly advice?: string;
}

/** Two sessions at once, because some things show only between two. */
export interface Patient {
  readonly one: PoolClient;
  readonly two: PoolClient;
  /** Checked already: a plain identifier. */
  readonly schema: string;
}

/** Runs the check and returns its finding. Throws if the check could not be made. */
export type Examine = (patient: Patient) => Promise<Omit<Finding, "check">>;

export interface Check {
  readonly name: string;
  readonly examine: Examine;
}

export function ok(found: string): Omit<Finding, "check"> {
  return { verdict: "ok", found };
}

export function warn(found: string, advice: string): Omit<Finding, "check"> {
  return { verdict: "warn", found, advice };
}

export function fail(found: string, advice: string): Omit<Finding, "check"> {
  return { verdict: "fail", found, advice };
}

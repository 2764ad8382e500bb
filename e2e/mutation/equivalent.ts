/** Mutants that no test can notice, each with the reason. The page lists them apart from the open survivors. */
import { isSameChange } from "./result.ts";
import type { Change } from "./result.ts";

export interface Equivalent extends Change {
  /** Why users, callers and the database see no difference. */
  readonly reason: string;
}

export const EQUIVALENT: readonly Equivalent[] = [];

/** Returns the reason why a mutant is equivalent, or `undefined` if it is an open survivor. */
export function reasonOf(change: Change): string | undefined {
  return EQUIVALENT.find((known) => isSameChange(known, change))?.reason;
}

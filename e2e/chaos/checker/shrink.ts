/** Makes a broken promise small enough to be read: the ticket with the fewest attempts, without those that do not matter. */
import type { Attempt, Case, Violation } from "./case.ts";
import { judgeCase } from "./judge.ts";

/** The violation whose ticket has the shortest history, with that history shrunk; `undefined` where none is about a ticket. */
export function shortest(violations: readonly Violation[]): Violation | undefined {
  const [first] = violations
    .filter(({ at }) => at !== undefined)
    .toSorted((a, b) => lengthOf(a.at) - lengthOf(b.at));
  return first?.at === undefined ? undefined : shrink(first, first.at);
}

function lengthOf(at: Case | undefined): number {
  return at?.attempts.length ?? 0;
}

/**
 * Leaves out one attempt after another as long as the violation stays the same: an excuse for a
 * part of the case excuses it here, too.
 */
function shrink(violation: Violation, from: Case): Violation {
  let smallest = violation;
  let at = from;
  // Starts at the end, so that an attempt is tried before the ones that it refers to.
  for (let index = from.attempts.length - 1; index >= 0; index -= 1) {
    const attempts: Attempt[] = at.attempts.filter((_, place) => place !== index);
    const smaller = { ...at, attempts };
    const same = judgeCase(smaller, violation.invariant === "I7").find(
      ({ invariant, message }) =>
        invariant === violation.invariant && message === violation.message,
    );
    if (same === undefined) continue;
    smallest = same;
    at = smaller;
  }
  return smallest;
}

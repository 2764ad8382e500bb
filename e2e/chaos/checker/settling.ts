/** I7 and I8: every key comes to an end, nothing is refused without a reason, and nothing is left behind. */
import type { Ending } from "../history/event.ts";
import { ABANDONED } from "./abandoned.ts";
import type { Attempt, Case, Violation } from "./case.ts";
import { disturbs } from "./disturbance.ts";
import type { Disturbance } from "./disturbance.ts";
import { isDayOver } from "./dropped.ts";
import { isTombstone } from "./retention.ts";

/** I7: the last attempt at each key, made after all faults have ended, got a final answer. */
export function checkSettled(one: Case): Violation[] {
  const last = one.attempts.at(-1);
  if (last === undefined || one.policy.isKeyless || isFinal(one, last)) return [];
  // Such a key has no client that would see its end: I11 judges it.
  if (last.invoke.process === ABANDONED) return [];
  // A key that its client gave up is not repeated: a client has seen its end, or that another
  // request had it.
  const isGivenUp = one.results.some(({ outcome }) => outcome === "rejected");
  const isEnd = (attempt: Attempt): boolean =>
    isFinal(one, attempt) || (isConflict(attempt) && othersOf(one, attempt).length > 0);
  if (isGivenUp && one.attempts.some(isEnd)) return [];
  const how = last.ending === undefined ? "no answer" : describe(last.ending);
  const message = `attempt ${last.invoke.attempt} was the last and got ${how}`;
  return [{ invariant: "I7", message, at: one }];
}

// A 422 is an end only if another request is known to have the key. A lease that this request left
// unfinished has no known end.
function isFinal(one: Case, attempt: Attempt): boolean {
  const { ending } = attempt;
  if (ending?.kind === "ok" || isTombstone(ending) || isDayOver(one, ending)) return true;
  if (!isConflict(attempt)) return false;
  const others = othersOf(one, attempt);
  if (one.policy.strategy === "lease" || typeof one.record?.status === "number")
    return others.length > 0;
  return (
    one.effects.some(({ fingerprint }) => fingerprint !== attempt.invoke.fingerprint) ||
    others.some((other) => other.ending?.kind === "ok")
  );
}

function isConflict({ ending }: Attempt): boolean {
  return ending?.kind === "fail" && ending.code === "idempotency_conflict";
}

function othersOf({ attempts }: Case, { invoke }: Attempt): Attempt[] {
  return attempts.filter((other) => other.invoke.fingerprint !== invoke.fingerprint);
}

/** Process that repeats the keys when all faults have ended. */
export const SETTLING = "settling";
// A lease, a COMMIT without an answer, and some seconds.
const SETTLED_MS = 20_000;

/**
 * I7: when all faults have ended, no key is held for longer than a lease and what may be under way
 * for it. An attempt that ran a handler that hangs by plan holds the key anew.
 */
export function checkHeld(one: Case): Violation[] {
  const calm = one.attempts.filter(({ invoke }) => invoke.process === SETTLING);
  let since = calm[0]?.invoke.atMs ?? Infinity;
  return calm.flatMap(({ invoke, ending }): Violation[] => {
    const isHeld = ending?.kind === "fail" && ending.code === IN_FLIGHT;
    if (!isHeld && invoke.hangs === true) since = ending?.atMs ?? since;
    const heldMs = invoke.atMs - since;
    if (!isHeld || heldMs <= SETTLED_MS) return [];
    const message = `attempt ${invoke.attempt} was told that the key still runs, ${Math.round(heldMs)} ms after it was first asked for in quiet`;
    return [{ invariant: "I7", message, at: one }];
  });
}

const IN_FLIGHT = "idempotency_in_flight";
// All that a good request under a good key may be refused with.
const RIGHTFUL: readonly string[] = [IN_FLIGHT, "idempotency_conflict"];

/** I7: what the rig sends is a good request under a good key. */
export function checkRefused(one: Case): Violation[] {
  return one.attempts.flatMap(({ invoke, ending }): Violation[] => {
    if (ending?.kind !== "fail" || ending.code === undefined || RIGHTFUL.includes(ending.code))
      return [];
    // Whether the response could have expired is for I10.
    if (isTombstone(ending) && one.policy.fenceMs !== undefined) return [];
    // Neither is whether the key was still remembered.
    if (isDayOver(one, ending)) return [];
    const message = `attempt ${invoke.attempt} was refused with ${describe(ending)}`;
    return [{ invariant: "I7", message, at: one }];
  });
}

/**
 * I7 in quiet times: while no fault strikes, the store is available, and every attempt gets an
 * answer.
 */
export function checkQuiet(one: Case, disturbances: readonly Disturbance[]): Violation[] {
  return unexcused(one, disturbances).flatMap(({ invoke, ending }): Violation[] => {
    if (ending?.kind !== "info" || ending.isLate) return [];
    const message = `attempt ${invoke.attempt} met no fault and got ${describe(ending)}`;
    return [{ invariant: "I7", message, at: one }];
  });
}

/**
 * Counts attempts that timed out without a fault, except those whose handler hangs by plan. They
 * depend on the machine's load more than on the product.
 */
export function countLate(one: Case, disturbances: readonly Disturbance[]): number {
  return unexcused(one, disturbances).filter(({ invoke }) => invoke.hangs !== true).length;
}

function unexcused(one: Case, disturbances: readonly Disturbance[]): Attempt[] {
  return one.attempts.filter(({ invoke, ending }) => {
    if (ending?.kind !== "info" || invoke.fault !== undefined) return false;
    // Its client hangs up on purpose.
    if (invoke.process === ABANDONED) return false;
    const span = { from: invoke.atMs, until: ending.atMs };
    // An attempt may wait for a stopped server at any server.
    return !disturbances.some((disturbance) =>
      disturbs(
        ending.isLate ? { ...disturbance, servers: undefined } : disturbance,
        span,
        invoke.server,
      ),
    );
  });
}

function describe(ending: Ending): string {
  if (ending.kind === "ok") return String(ending.status);
  const { status } = ending;
  return [status, ending.kind === "fail" ? ending.code : ending.reason]
    .filter((part) => part !== undefined)
    .join(" ");
}

/** Resources still held when all is quiet, by name and number; every number should be 0. */
export interface Leftovers {
  readonly where: string;
  readonly found: Readonly<Record<string, number>>;
}

/** I8: nothing is held, waited for or broken when the work is over. */
export function checkLeftovers(leftovers: readonly Leftovers[]): Violation[] {
  return leftovers.flatMap(({ where, found }) =>
    Object.entries(found)
      .filter(([, count]) => count > 0)
      .map(([what, count]) => ({
        invariant: "I8",
        message: `${where}: ${count} ${what}`,
        at: undefined,
      })),
  );
}

/** I10 of a table with partitions: a key is refused because its day is over only after its fence, and never runs after that. */
import type { Ending, Fail, Ok } from "../history/event.ts";
import type { Attempt, Case, Violation } from "./case.ts";

const UUID_V7 = /^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/;

/** Whether an attempt got 412 because the day of its key had been dropped. The rig's other keys have no day. */
export function isDayOver({ key }: Case, ending: Ending | undefined): ending is Fail {
  return ending?.kind === "fail" && ending.code === "idempotency_key_expired" && UUID_V7.test(key);
}

// A transaction that is older has ended: its effect is there with its record.
const COMMITTED_MS = 6_000;

export function checkDropped(one: Case): Violation[] {
  const { attempts, effects, policy, forgets } = one;
  const { retentionMs, fenceMs = retentionMs } = policy;
  if (forgets.length > 0) return [];
  const violations: Violation[] = [];
  const add = (message: string): void =>
    void violations.push({ invariant: "I10", message, at: one });
  const runs = attempts.filter(isRun);
  let droppedAt = Infinity;
  for (const { invoke, ending } of attempts) {
    if (!isDayOver(one, ending)) continue;
    droppedAt = Math.min(droppedAt, ending.atMs);
    // The record was made after its request had left, and before its answer was seen.
    const run = runs.find(
      (other) => other.ending.atMs < invoke.atMs && ending.atMs - other.invoke.atMs < fenceMs,
    );
    const isEffectFenced =
      runs.length === 0 &&
      policy.strategy !== "lease" &&
      effects.some(
        ({ wallAt }) => wallAt + COMMITTED_MS < invoke.wallAt && ending.wallAt - wallAt < fenceMs,
      );
    if (run !== undefined)
      add(`attempt ${ending.attempt} got 412 within the fence of attempt ${run.invoke.attempt}`);
    else if (isEffectFenced) add(`attempt ${ending.attempt} got 412 within the fence of an effect`);
  }
  for (const { invoke } of runs)
    if (invoke.atMs > droppedAt)
      add(`attempt ${invoke.attempt} ran although the day of its key had been dropped`);
  return violations;
}

/** Counts the attempts that were refused because the day of their key had been dropped. */
export function countDropped(one: Case): number {
  return one.attempts.filter(({ ending }) => isDayOver(one, ending)).length;
}

function isRun(attempt: Attempt): attempt is Attempt & { readonly ending: Ok } {
  return attempt.ending?.kind === "ok" && !attempt.ending.isReplayed;
}

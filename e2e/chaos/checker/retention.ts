/** I10: what is over is not replayed, whether its retention ended or it was deleted on purpose, and runs again only after its fence. */
import { readAnswer } from "./case.ts";
import type { Ending, Fail, Instant, Ok } from "../history/event.ts";
import type { Answer, Attempt, Case, Violation } from "./case.ts";

// One process keeps what it read from the database: the way from there is not counted.
const SLACK_MS = 1_000;

/** I10: a replay belongs to a run whose record could still stand when it was asked for. */
export function checkRetention(one: Case): Violation[] {
  const firstSeen = new Map<string, number>();
  for (const { ending } of one.attempts) {
    if (ending?.kind !== "ok") continue;
    const run = readAnswer(ending.body)?.answer;
    if (run !== undefined && !ending.isReplayed) firstSeen.set(run, ending.atMs);
  }
  return one.attempts.flatMap(({ invoke, ending }): Violation[] => {
    if (ending?.kind !== "ok" || !ending.isReplayed) return [];
    // A refusal names no run: after its retention the next one looks the same.
    const run = readAnswer(ending.body);
    if (run === undefined) return [];
    const madeAt = firstSeen.get(run.answer) ?? effectAt(one, run, invoke);
    if (madeAt === undefined) return [];
    const ageMs = invoke.atMs - madeAt;
    if (ageMs > one.policy.retentionMs + SLACK_MS) {
      const message = `attempt ${invoke.attempt} was replayed ${Math.round(ageMs)} ms after its record was made`;
      return [{ invariant: "I10", message, at: one }];
    }
    const gone = one.forgets.find(
      ({ phase, atMs, server }) =>
        phase === "done" && madeAt < atMs && invoke.atMs > atMs && server === invoke.server,
    );
    if (gone === undefined) return [];
    const message = `attempt ${invoke.attempt} was replayed by ${gone.server}, which had deleted the record`;
    return [{ invariant: "I10", message, at: one }];
  });
}

// Used if no client saw the first answer: the effect's instant, converted to the clock of this
// history. A fault may delay the record after its effect.
function effectAt(
  { effects, isStruck, isBesideTurns, policy }: Case,
  { effect }: Answer,
  by: Instant,
): number | undefined {
  // A lease has its effect before its record, which may wait for the lock of a partition that comes or goes.
  const isLater = isStruck || (isBesideTurns && policy.strategy === "lease");
  const made = isLater ? undefined : effects.find(({ id }) => id === effect);
  return made && made.wallAt - (by.wallAt - by.atMs);
}

/** Whether an attempt got 410 because the response has expired. @param status of that response. Default: any. */
export function isTombstone(ending: Ending | undefined, status?: number): ending is Fail {
  if (ending?.kind !== "fail" || ending.code !== "idempotency_response_not_stored") return false;
  return status === undefined || ending.originalStatus === status;
}

export function countTombstones({ attempts }: Case): number {
  return attempts.filter(({ ending }) => isTombstone(ending)).length;
}

/**
 * I10 between retention and fence: a repeat gets 410 with the status of the first answer, not before the response has expired,
 * and the handler does not run again.
 */
export function checkTombstones(one: Case): Violation[] {
  const { attempts, policy, forgets } = one;
  const { retentionMs, fenceMs = retentionMs } = policy;
  if (fenceMs === retentionMs || forgets.length > 0) return [];
  const violations: Violation[] = [];
  const add = (message: string): void =>
    void violations.push({ invariant: "I10", message, at: one });
  const firstAt = attempts[0]?.invoke.atMs ?? 0;
  const statuses = statusesOf(one);
  for (const { invoke, ending } of attempts) {
    if (!isTombstone(ending)) continue;
    const afterMs = Math.round(ending.atMs - firstAt);
    if (afterMs < retentionMs)
      add(`attempt ${invoke.attempt} got 410 ${afterMs} ms after the key was first sent`);
    if (statuses.size > 0 && !statuses.has(ending.originalStatus ?? 0))
      add(`attempt ${invoke.attempt} got 410 for ${ending.originalStatus}, which was not answered`);
  }
  const runs = attempts.filter(isRun).toSorted((a, b) => a.ending.atMs - b.ending.atMs);
  for (const [index, run] of runs.entries()) {
    const before = runs[index - 1];
    // The record was made after its request had left.
    const afterMs = before === undefined ? Infinity : run.ending.atMs - before.invoke.atMs;
    if (afterMs < fenceMs)
      add(
        `attempt ${run.invoke.attempt} ran ${Math.round(afterMs)} ms after another, within the fence`,
      );
  }
  return violations;
}

function isRun(attempt: Attempt): attempt is Attempt & { readonly ending: Ok } {
  return attempt.ending?.kind === "ok" && !attempt.ending.isReplayed;
}

/** The statuses that a tombstone may name. Empty: all answers were lost. */
function statusesOf({ attempts, effects, policy }: Case): Set<number> {
  const statuses = attempts.flatMap(({ ending }) => (ending?.kind === "ok" ? [ending.status] : []));
  if (effects.length > 0) statuses.push(201);
  // A lease that crashed is closed with 500, whether a client sees that or not.
  if (statuses.length > 0 && policy.strategy === "lease") statuses.push(500);
  return new Set(statuses);
}

/** I3 and I4: one answer for a ticket, byte for byte, and no other answer once it is known. */
import type { Instant, Invoke, Ok } from "../history/event.ts";
import { readAnswer } from "./case.ts";
import type { Attempt, Case, Violation } from "./case.ts";

interface Answered extends Attempt {
  readonly ending: Ok;
}

/** I3: all answers of one run of the handler are the same bytes, and so is what is stored. */
export function checkSameBytes(one: Case): Violation[] {
  const answered = answeredOf(one);
  const violations: Violation[] = [];
  const firsts = new Map<string, Ok>();
  for (const { ending } of answered) {
    const run = runOf(one, ending);
    if (run === undefined) continue;
    const first = firsts.get(run);
    if (first === undefined) firsts.set(run, ending);
    else if (!isSame(first, ending)) {
      const message = `attempt ${first.attempt} got ${show(first)} and attempt ${ending.attempt} got ${show(ending)}`;
      violations.push({ invariant: "I3", message, at: one });
    }
  }
  const { record } = one;
  if (record === undefined || record.status === null || isRenewable(one)) return violations;
  const different = answered.find(
    ({ ending }) => ending.status !== record.status || ending.body !== record.body,
  );
  if (different !== undefined) {
    const message = `attempt ${different.ending.attempt} got ${show(different.ending)}, stored is ${record.status}`;
    violations.push({ invariant: "I3", message, at: one });
  }
  return violations;
}

/** I3: what was answered for good is in the database, as it was answered, and for as long as was promised (I10). */
export function checkStored(one: Case): Violation[] {
  const { record, policy } = one;
  if (policy.isKeyless || isRenewable(one)) return [];
  const told = answeredOf(one).find(({ ending }) => ending.status < 500);
  if (told !== undefined && typeof record?.status !== "number") {
    const message = `attempt ${told.ending.attempt} got ${show(told.ending)}, and no record of it stands`;
    return [{ invariant: "I3", message, at: one }];
  }
  if (typeof record?.status !== "number") return [];
  const { headers, keptMs = policy.retentionMs } = record;
  const violations: Violation[] = [];
  const different = answeredOf(one).find(
    ({ ending }) => typeof headers === "string" && ending.headers !== headers,
  );
  if (different !== undefined) {
    const message = `attempt ${different.ending.attempt} got other headers than are stored: ${headers}`;
    violations.push({ invariant: "I3", message, at: one });
  }
  if (keptMs !== policy.retentionMs)
    violations.push({ invariant: "I10", message: `the record is kept for ${keptMs} ms`, at: one });
  return violations;
}

/**
 * I4: an attempt that starts after a final answer was seen gets that answer, or is another request.
 */
export function checkNothingAfterFinal(one: Case): Violation[] {
  if (isRenewable(one)) return [];
  const answered = answeredOf(one);
  const finalAt = Math.min(...answered.map(({ ending }) => ending.atMs));
  return one.attempts.flatMap(({ invoke, ending }): Violation[] => {
    if (invoke.atMs <= finalAt) return [];
    const add = (what: string): Violation[] => {
      const message = `attempt ${invoke.attempt} started after a final answer and ${what}`;
      return [{ invariant: "I4", message, at: one }];
    };
    if (ending?.kind === "ok") return ending.isReplayed ? [] : add("was run again");
    if (ending?.kind !== "fail") return [];
    if (ending.code === "idempotency_in_flight")
      return hasLeader(one, invoke, ending) ? [] : add("was told that the key still runs");
    // Whether a request that differs is rightly refused is for I5; the one that was answered never is.
    const isAnswered = answered.some((other) => isAnswerTo(other, invoke));
    if (ending.code === "idempotency_conflict" && !isAnswered) return [];
    return add(`got ${ending.status} ${ending.code ?? ""}`);
  });
}

function isAnswerTo({ invoke, ending }: Answered, { fingerprint, atMs }: Invoke): boolean {
  return invoke.fingerprint === fingerprint && !ending.isMismatch && ending.atMs < atMs;
}

// Longest wait for a COMMIT without an answer, after a stopped server has caught up.
const LEADER_MS = 20_000;

// In one process a duplicate waits for the request before it, not for the database. If that request
// has no answer yet either, "still runs" is right as far as this process knows. A stopped
// server takes them in another order than they were sent.
function hasLeader({ attempts }: Case, { atMs, server }: Invoke, refused: Instant): boolean {
  return attempts.some(
    ({ invoke, ending }) =>
      (invoke.server === server || server === "proxy" || invoke.server === "proxy") &&
      invoke.atMs < refused.atMs &&
      invoke.atMs > atMs - LEADER_MS &&
      (ending === undefined || ending.atMs > refused.atMs || ending.kind === "info"),
  );
}

/** Whether a key may rightly run again in the time of a history. */
function isRenewable({ policy, forgets }: Case): boolean {
  return forgets.length > 0 || policy.retentionMs < 3_600_000;
}

function answeredOf(one: Case): Answered[] {
  return one.attempts.filter((attempt): attempt is Answered => attempt.ending?.kind === "ok");
}

// If a key may run again, each identified run has an answer of its own; otherwise all answers are
// one.
function runOf(one: Case, { body }: Ok): string | undefined {
  return isRenewable(one) ? readAnswer(body)?.answer : "";
}

function isSame(a: Ok, b: Ok): boolean {
  return a.status === b.status && a.body === b.body && a.headers === b.headers;
}

function show({ status, body }: Ok): string {
  return `${status} ${body.slice(0, 60)}`;
}

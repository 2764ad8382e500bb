/** I1 and I2: an effect is single, and an answer that reports one has it. */
import { readAnswer } from "./case.ts";
import type { Attempt, Case, Effect, Violation } from "./case.ts";
import { isTombstone } from "./retention.ts";

/**
 * I1: one effect for a ticket. A second effect is right only after the first one's fence, after
 * a deletion on purpose, or if a lease's route declares that it may run again.
 */
export function checkSingleEffect(one: Case): Violation[] {
  const { effects, policy, forgets } = one;
  if (policy.onCrash === "rerun") return checkRunAgain(one);
  const isShortLease = policy.strategy === "lease" && policy.retentionMs < LONG_MS;
  // Nothing fences the outside world: a handler that was suspended for longer than a short
  // retention has a late effect.
  if (isShortLease && one.isStruck) return [];
  // Its record is kept from when it was claimed where its handler failed, and that is a while before the effect.
  const { fenceMs = policy.retentionMs } = policy;
  const apartMs = isShortLease ? fenceMs / 2 : fenceMs;
  const inOrder = effects.toSorted((a, b) => a.wallAt - b.wallAt);
  return inOrder.flatMap((effect, index) => {
    const before = inOrder[index - 1];
    if (before === undefined || effect.wallAt - before.wallAt >= apartMs) return [];
    const asked = forgets.filter(
      ({ phase, wallAt }) => phase === "asked" && wallAt <= effect.wallAt,
    );
    if (asked.length >= index) return [];
    const message = `effect ${effect.id} follows ${before.id} after ${effect.wallAt - before.wallAt} ms`;
    return [violation(one, "I1", message)];
  });
}

// All runs pass the same key on. Each but the first follows a run without a final answer, or a run
// that was suspended for about a lease's duration. The caller of a suspended run gets the answer of
// the next run.
function checkRunAgain(one: Case): Violation[] {
  const { effects, attempts, forgets, policy } = one;
  const passedOn = new Set(effects.map(({ downstream }) => downstream));
  if (passedOn.size > 1)
    return [violation(one, "I1", `runs of the handler passed ${passedOn.size} different keys on`)];
  const isOpen = ({ ending }: Attempt): boolean =>
    ending === undefined || ending.kind === "info" || (ending.kind === "fail" && !ending.code);
  const open = attempts.filter(isOpen).length + forgets.length;
  const [first, ...later] = effects.toSorted((a, b) => a.wallAt - b.wallAt);
  let before = first?.wallAt ?? 0;
  const soon = later.filter(({ wallAt }) => {
    const isSoon = wallAt - before < (policy.leaseMs ?? 0) / 2;
    before = wallAt;
    return isSoon;
  });
  if (soon.length <= open) return [];
  const message = `${soon.length} effects soon after another, and ${open} attempts without an answer`;
  return [violation(one, "I1", message)];
}

/** I1 across keys: whatever keys a client makes for an operation, it happens once on a target. */
export function checkSingleOperation(cases: readonly Case[]): Violation[] {
  const seen = new Map<string, { readonly one: Case; readonly effect: Effect }>();
  const violations: Violation[] = [];
  for (const one of cases) {
    for (const effect of one.effects) {
      const id = JSON.stringify([one.scope, one.target, effect.operation]);
      const first = seen.get(id);
      if (first === undefined) seen.set(id, { one, effect });
      else if (first.one !== one) {
        const message = `operation ${effect.operation} took effect under key ${first.one.key} and again under ${one.key}`;
        violations.push(violation(one, "I1", message));
      }
    }
  }
  return violations;
}

/**
 * I2: each success that a client saw has its one effect in the database, and no other answer
 * reports an effect.
 */
export function checkAnsweredEffect(one: Case): Violation[] {
  const ids = new Map<string, number>();
  for (const { id } of one.effects) ids.set(id, (ids.get(id) ?? 0) + 1);
  return one.attempts.flatMap(({ ending }) => {
    if (ending?.kind !== "ok") return [];
    const { effect = null, errors } = readAnswer(ending.body) ?? {};
    if (ending.status >= 300 || errors !== undefined) {
      if (effect === null || !ids.has(effect)) return [];
      return [violation(one, "I2", `${ending.status} was answered and effect ${effect} is there`)];
    }
    if (effect === null) return [violation(one, "I2", `${ending.status} tells of no effect`)];
    const count = ids.get(effect) ?? 0;
    if (count === 1) return [];
    return [violation(one, "I2", `${ending.status} tells of effect ${effect}: ${count} are there`)];
  });
}

/**
 * I2 of what the database holds alone: in one commit, effect and record are both there or neither is. A lease's record without
 * its effect is as wrong; its effect without a record is a crash, and those are the route's to judge.
 */
export function checkBothOrNeither(one: Case): Violation[] {
  const { effects, record, policy, forgets } = one;
  if (forgets.length > 0 || policy.retentionMs < LONG_MS || policy.isKeyless) return [];
  const isDone =
    record !== undefined && record.status !== null && record.status < 300 && !isMasked(record.body);
  if (isDone && effects.length === 0)
    return [violation(one, "I2", `a record with ${record.status} stands without an effect`)];
  if (policy.strategy === "lease" || isDone || effects.length === 0) return [];
  return [violation(one, "I2", "an effect stands without its record")];
}

/**
 * I2 of a client's own conclusion: `done` happened, and `rejected` did not, as long as no other
 * client sends the same request under the same key.
 */
export function checkResult(one: Case): Violation[] {
  return one.results.flatMap(({ outcome, fingerprint }) => {
    const senders = one.attempts.filter(({ invoke }) => invoke.fingerprint === fingerprint);
    const isAlone = new Set(senders.map(({ invoke }) => invoke.process)).size === 1;
    if (outcome === "unknown") {
      if (senders.length === 0 || !senders.every(isConclusive)) return [];
      return [violation(one, "I2", "the client said unknown, and each attempt was answered")];
    }
    // A key may be refused for what another made of it when its record was over.
    const isOver = one.policy.retentionMs < LONG_MS;
    if (outcome === "rejected" && (!isAlone || isOver)) return [];
    const own = one.effects.filter((effect) => effect.fingerprint === fingerprint).length;
    const isFailure =
      outcome === "rejected" ||
      one.attempts.some(({ ending }) =>
        ending?.kind === "ok" ? isMasked(ending.body) : isTombstone(ending, MASKED),
      );
    if (isFailure ? own === 0 : own > 0) return [];
    return [violation(one, "I2", `the client said ${outcome}, and ${own} effects are there`)];
  });
}

/** The status of a failure that looks like a success. */
const MASKED = 200;

/** Whether an answer reports a failure with status 200. */
function isMasked(body: string | null): boolean {
  return body !== null && readAnswer(body)?.errors !== undefined;
}

// A request that was closed after a crash has an unknown outcome, and an answer with the mark is
// another request's.
function isConclusive({ ending }: Attempt): boolean {
  return ending?.kind === "ok" && ending.status < 500 && !ending.isMismatch;
}

// Above any run: a record that is kept this long is there at its end.
const LONG_MS = 6 * 3_600_000;

function violation(at: Case, invariant: string, message: string): Violation {
  return { invariant, message, at };
}

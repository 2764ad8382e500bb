/** I5 and I6: another request under the same key, and another scope with the same key. */
import { readAnswer } from "./case.ts";
import type { Attempt, Case, Violation } from "./case.ts";

/**
 * I5: a request that differs from the one that ran has no effect. Policy `replay`: it gets the
 * answer of the one that ran, with the mark, or 422 while a lease that ended unfinished waits for
 * it. Policy `reject`: 422. No other request gets the mark or the 422.
 */
export function checkMismatch(one: Case): Violation[] {
  const violations: Violation[] = [];
  const add = (message: string): void =>
    void violations.push({ invariant: "I5", message, at: one });
  const ran = new Set([...one.effects.map(({ fingerprint }) => fingerprint), ...answeredRuns(one)]);
  const [only, ...others] = ran;
  if (others.length > 0 && one.forgets.length === 0 && !mayDiffer(one))
    add(`${ran.size} different requests ran`);
  // Past its retention a key may have been another request's, which has left nothing to compare with.
  if (only === undefined || others.length > 0 || mayDiffer(one)) return violations;
  for (const attempt of one.attempts) {
    const { invoke, ending } = attempt;
    const differs = invoke.fingerprint !== only;
    if (ending?.kind === "ok" && ending.isMismatch !== differs) {
      const how = differs ? "differs and got no mark" : "is the same and got the mark";
      add(`attempt ${invoke.attempt} ${how}`);
    }
    if (ending?.kind === "ok" && differs && one.policy.mismatch === "reject")
      add(`attempt ${invoke.attempt} differs and was answered with ${ending.status}, not with 422`);
    if (
      ending?.kind === "fail" &&
      ending.code === "idempotency_conflict" &&
      !isRightlyRefused(one, attempt, differs)
    )
      add(`attempt ${invoke.attempt} was refused with 422`);
  }
  return violations;
}

// A run without an effect is known by who was answered first: a refusal is stored as well.
function answeredRuns({ attempts }: Case): string[] {
  return attempts.flatMap(({ invoke, ending }) =>
    ending?.kind === "ok" && !ending.isReplayed && ending.status < 500 ? [invoke.fingerprint] : [],
  );
}

// While another request ran without a result, a refusal was right although that request left no
// trace. With `replay` this applies to a lease: only its own request can go on with it.
function isRightlyRefused(one: Case, refused: Attempt, differs: boolean): boolean {
  const { mismatch, strategy } = one.policy;
  if (mismatch !== "reject" && strategy !== "lease") return false;
  if (differs) return true;
  const others = one.attempts.filter(
    ({ invoke }) => invoke.fingerprint !== refused.invoke.fingerprint,
  );
  return strategy === "lease"
    ? others.length > 0
    : others.some((other) => mayOverlap(one, other, refused));
}

// A request without an answer may run on without its client. A refused request has not run, unless
// the record is a refusal that a handler threw. Between that handler's rollback and its record the
// key is free for a moment, and a request that runs then is fenced out.
function mayOverlap({ record }: Case, { invoke, ending }: Attempt, refused: Attempt): boolean {
  if (invoke.atMs > (refused.ending?.atMs ?? Infinity)) return false;
  if (ending === undefined || ending.kind === "info") return true;
  const wasRefused = ending.kind === "fail" && NOT_RUN.includes(ending.code ?? "");
  if (wasRefused && (record?.status ?? 0) < 400) return false;
  return ending.atMs >= refused.invoke.atMs;
}

const NOT_RUN: readonly string[] = ["idempotency_conflict", "idempotency_in_flight"];

// Past its retention a key is as good as new.
function mayDiffer({ policy }: Case): boolean {
  return policy.retentionMs < 3_600_000;
}

// The scope in an error that a handler throws.
const NAMES_SCOPE = /\(scope ([^)]+)\)/;

/** I6: no byte of one scope reaches another. */
export function checkScope(one: Case): Violation[] {
  return one.attempts.flatMap(({ invoke, ending }): Violation[] => {
    if (ending?.kind !== "ok") return [];
    const scope = readAnswer(ending.body)?.scope ?? NAMES_SCOPE.exec(ending.body)?.[1];
    if (scope === undefined || scope === invoke.scope) return [];
    const message = `attempt ${invoke.attempt} of scope ${invoke.scope} got an answer of scope ${scope}`;
    return [{ invariant: "I6", message, at: one }];
  });
}

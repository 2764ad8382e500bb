/** Invariants of all answers and effects of one key. */
import { isClose } from "./effects.ts";
import type { Effect } from "./effects.ts";
import type { Answer } from "./send.ts";

export interface SeenKey {
  /**
   * Final answers of the same request. The first is the one that a client would have seen first.
   */
  readonly answers: readonly Answer[];
  /** Answer of another request under the same key, sent after the answers above. */
  readonly other: Answer;
  /** All that the key had, those of the other request included, beside what a run without a crash has. */
  readonly effects: readonly Effect[];
}

/** One sentence for each promise that is broken. */
export function checkKey(seen: SeenKey): string[] {
  return [wrongEffects(seen), difference(seen), rerun(seen), otherAnswer(seen)].filter(
    (broken) => broken !== undefined,
  );
}

function wrongEffects({ answers: [answer], effects }: SeenKey): string | undefined {
  const isOk = isSuccess(answer);
  const wrong = effects.filter((effect) => !isRight(effect, isOk));
  if (isOk && effects.length === 0) return `nothing changed behind a ${answer?.status}`;
  if (wrong.length === 0) return undefined;
  const names = wrong.map(
    ({ name, change, expected }) => `${name} by ${change} instead of ${expected}`,
  );
  return `${timesOf(effects)} effects behind a ${answer?.status}: ${names.join(", ")}`;
}

/** A refusal may stand for a run that did all, nothing, or a part of it before it died. */
function isRight({ change, expected }: Effect, isOk: boolean): boolean {
  if (isClose(change, expected)) return true;
  return !isOk && Math.min(0, expected) <= change && change <= Math.max(0, expected);
}

/** Returns how many times a key had its effect: by the number that changed most often. */
export function timesOf(effects: readonly Effect[]): number {
  const times = effects.map(({ change, expected }) =>
    expected === 0 ? Math.abs(change) : change / expected,
  );
  // Sums of fractions are not exact.
  return Math.round(Math.max(0, ...times) * 1e6) / 1e6;
}

// The first one may have headers that the route does not store.
function difference({ answers }: SeenKey): string | undefined {
  const whole = new Set(answers.filter(({ isReplayed }) => isReplayed).map(show));
  const different = new Set(answers.map(({ status, body }) => `${status} ${body}`));
  const more = whole.size > different.size ? whole : different;
  return more.size > 1 ? `${more.size} answers: ${[...more].join(" | ")}` : undefined;
}

function rerun({ answers }: SeenKey): string | undefined {
  const runs = answers.filter(({ isReplayed }) => !isReplayed).length;
  return runs > 1 ? `${runs} answers are no replays` : undefined;
}

// If the route's fingerprint leaves out the difference, it is the same request. The route's schema
// may refuse it too.
function otherAnswer({ answers: [answer], other }: SeenKey): string | undefined {
  const isRefused = other.status >= 400 && other.status < 500;
  const isSame = other.status === answer?.status && other.body === answer.body;
  if (isRefused || (isSame && other.isReplayed)) return undefined;
  return `another request under the key was answered with ${show(other)}`;
}

function isSuccess(answer: Answer | undefined): boolean {
  return answer !== undefined && answer.status >= 200 && answer.status < 300;
}

function show({ status, headers, body }: Answer): string {
  return [status, headers, body].filter((part) => part !== "").join(" ");
}

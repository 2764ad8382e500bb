/** What has to be true of everything that was seen of one key. */
import type { Answer } from "./send.ts";

export interface SeenKey {
  /** Of the same request, each final. The first is the one that a client would have seen first. */
  readonly answers: readonly Answer[];
  /** Of another request under the same key, sent after them. */
  readonly other: Answer;
  /** All that the key had, those of the other request included. */
  readonly effects: number;
}

/** One sentence for each promise that is broken. */
export function checkKey(seen: SeenKey): string[] {
  return [wrongEffects(seen), difference(seen), rerun(seen), otherAnswer(seen)].filter(
    (broken) => broken !== undefined,
  );
}

function wrongEffects({ answers: [answer], effects }: SeenKey): string | undefined {
  const isRight = effects === 1 || (effects === 0 && !isSuccess(answer));
  return isRight ? undefined : `${effects} effects behind a ${answer?.status}`;
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

// Where the route's fingerprint leaves out what is different, it is the same request; and its schema may refuse it.
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

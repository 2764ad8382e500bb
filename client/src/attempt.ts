/** The one loop: the same key and the same bytes, again and again, until the answer is final or the time is up. */
import { IdempotencyError, OutcomeUnknownError } from "@oncekey/shared";
import { fullJitterMs, pause } from "./backoff.ts";
import type { RetryBudget } from "./backoff.ts";
import { classify, isAcknowledged } from "./classify.ts";
import type { Verdict } from "./classify.ts";
import type { Report } from "./event.ts";
import { reasonOf } from "./limit.ts";
import type { RetryPolicy } from "./options.ts";
import type { Repeat } from "./repeat.ts";
import type { PreparedRequest } from "./request.ts";
import type { Answer, Send } from "./send.ts";
import type { Warn } from "./warning.ts";

/** What the loop needs from the client. */
export interface LoopParts {
  readonly send: Send;
  readonly repeat: Repeat;
  readonly budget: RetryBudget;
  readonly warn: Warn;
}

export interface LoopInput {
  readonly request: PreparedRequest;
  readonly key: string;
  readonly policy: RetryPolicy;
  readonly signal: AbortSignal | undefined;
  /** Whether an earlier run sent this key and does not know what came of it. */
  readonly isUnresolved: boolean;
  readonly report: Report;
}

/** How the loop ended. `unsent`: no byte ever left. */
export type Ending =
  | {
      readonly kind: "done";
      readonly value: unknown;
      readonly replayed: boolean;
      readonly status: number;
      readonly answer: Answer;
    }
  | { readonly kind: "rejected"; readonly error: IdempotencyError }
  | { readonly kind: "unsent"; readonly error: IdempotencyError }
  | {
      readonly kind: "unknown";
      readonly error: IdempotencyError;
      readonly retryAt: Date | undefined;
    };

export interface Settlement {
  readonly ending: Ending;
  /** Attempts that were made, polls not counted. */
  readonly attempts: number;
  /** The last answer that came whole, final or not. */
  readonly answer: Answer | undefined;
}

type Again = Extract<Verdict, { kind: "retry" | "poll" }>;

/** Thrown to what repeats, which asks for an error; it never decides anything itself. */
class AttemptFailedError extends Error {
  override name = "AttemptFailedError";
}

/** Where the loop stands. Held beside what repeats: p-retry drops a success when a signal aborts late, and would classify by itself. */
interface State {
  readonly deadlineAt: number;
  isUnresolved: boolean;
  isSent: boolean;
  attempts: number;
  polls: number;
  answer: Answer | undefined;
  again: Again | undefined;
  ending: Ending | undefined;
}

/** Sends until the outcome is known or cannot be. Never throws for anything that a network or a server does. */
export async function sendUntilSettled(parts: LoopParts, input: LoopInput): Promise<Settlement> {
  const state: State = {
    deadlineAt: performance.now() + input.policy.deadlineMs,
    isUnresolved: input.isUnresolved,
    isSent: false,
    attempts: 0,
    polls: 0,
    answer: undefined,
    again: undefined,
    ending: undefined,
  };
  try {
    await parts.repeat(
      () => attempt(parts, input, state),
      () => mayGoOn(parts, input, state),
    );
  } catch (error) {
    if (!(error instanceof AttemptFailedError)) throw error;
  }
  const { attempts, answer } = state;
  const ending = state.ending ?? gaveUp("The attempts ended", input, state);
  return { ending, attempts, answer };
}

async function attempt(parts: LoopParts, input: LoopInput, state: State): Promise<void> {
  const { request, key, policy, signal } = input;
  state.again = undefined;
  if (!signal?.aborted) {
    state.attempts += 1;
    input.report({ kind: "attempt", attempt: state.attempts });
    const leftMs = state.deadlineAt - performance.now();
    const timeoutMs = Math.max(1, Math.min(policy.attemptTimeoutMs, leftMs));
    const onSent = (): void => {
      state.isSent = true;
    };
    const outcome = await parts
      .send(request, key, { timeoutMs, signal, onSent })
      .catch((cause: unknown) => noAnswer(key, cause));
    if (!(outcome instanceof IdempotencyError)) {
      state.answer = outcome;
      judge(parts, input, state, outcome);
    } else if (!signal?.aborted) {
      state.isUnresolved ||= state.isSent;
      state.again = { kind: "retry", cause: outcome, waitMs: undefined };
    }
  }
  if (state.ending === undefined && state.again === undefined && signal?.aborted) {
    state.ending = stopped(signal, input, state);
  }
  if (state.ending === undefined) throw new AttemptFailedError();
}

/** Puts what an answer means into the state: an ending, or a reason to go on. */
function judge(parts: LoopParts, input: LoopInput, state: State, answer: Answer): void {
  const verdict = classify(answer, input.key, state.isUnresolved);
  switch (verdict.kind) {
    case "done":
      parts.budget.refill();
      state.ending = finished(parts, input, answer, verdict);
      return;
    case "rejected":
      state.ending = verdict;
      return;
    case "unknown":
      state.ending = { ...verdict, retryAt: later(verdict.error.retryAfterMs) };
      return;
    case "poll":
      state.attempts -= 1;
      state.polls += 1;
      state.isUnresolved = true;
      state.again = verdict;
      return;
    case "retry":
      state.isUnresolved = true;
      state.again = verdict;
      return;
    default:
      verdict satisfies never;
  }
}

function finished(
  { warn }: LoopParts,
  { request, key, policy }: LoopInput,
  answer: Answer,
  verdict: Extract<Verdict, { kind: "done" }>,
): Ending {
  if (isAcknowledged(answer, key)) return { ...verdict, answer };
  const message = `${request.method} ${request.url} succeeded without echoing Idempotency-Key: is the route protected?`;
  warn({ code: "unacknowledged", message });
  if (policy.onUnacknowledged === "warn") return { ...verdict, answer };
  const error = new OutcomeUnknownError(message, { key, status: verdict.status });
  return { kind: "unknown", error, retryAt: undefined };
}

/** Waits for the next attempt, or ends the loop where there is none. */
async function mayGoOn({ budget }: LoopParts, input: LoopInput, state: State): Promise<boolean> {
  const { policy, signal } = input;
  const { again, attempts, polls, deadlineAt } = state;
  if (again === undefined) return false;
  const { kind, waitMs } = again;
  const tries = kind === "poll" ? polls : attempts;
  const pauseMs = Math.max(waitMs ?? 0, fullJitterMs(tries, policy.backoff));
  const giveUpBecause = (): string | undefined => {
    if (kind === "retry" && attempts >= policy.attempts)
      return `No final answer after ${attempts} attempts`;
    if (performance.now() + pauseMs >= deadlineAt)
      return `No final answer within ${policy.deadlineMs} ms`;
    if (kind === "retry" && !budget.take()) return "The client's retry budget is used up";
    return undefined;
  };
  const reason = giveUpBecause();
  if (reason === undefined) {
    const why = kind === "poll" ? "in-flight" : "retry";
    input.report({ kind: "wait", attempt: attempts + 1, reason: why, waitMs: pauseMs });
    await pause(pauseMs, signal);
    return true;
  }
  state.ending = gaveUp(reason, input, state, again);
  return false;
}

function gaveUp(why: string, input: LoopInput, state: State, again?: Again): Ending {
  const { key } = input;
  const cause = again?.cause;
  if (!mayHaveArrived(input, state)) {
    const message = `${why}, and nothing was sent: ${cause?.message ?? "no reason is known"}`;
    return { kind: "unsent", error: new IdempotencyError(message, undefined, { key, cause }) };
  }
  const error = unknown(`${why}; how it ended is not known`, key, cause);
  return { kind: "unknown", error, retryAt: later(again?.waitMs) };
}

function mayHaveArrived(input: LoopInput, state: State): boolean {
  return state.isSent || input.isUnresolved;
}

function stopped(signal: AbortSignal, input: LoopInput, state: State): Ending {
  const { key } = input;
  const cause = reasonOf(signal);
  if (mayHaveArrived(input, state)) {
    const message =
      "Stopped while the request may have arrived; it is not cancelled, and how it ended is not known";
    return { kind: "unknown", error: unknown(message, key, cause), retryAt: undefined };
  }
  const error = new IdempotencyError("Stopped before anything was sent", undefined, { key, cause });
  return { kind: "unsent", error };
}

function noAnswer(key: string, cause: unknown): IdempotencyError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new IdempotencyError(`No answer: ${reason}`, undefined, { key, cause });
}

function unknown(message: string, key: string, cause?: unknown): OutcomeUnknownError {
  const status = cause instanceof IdempotencyError ? cause.status : undefined;
  return new OutcomeUnknownError(message, { key, cause, status });
}

function later(waitMs: number | undefined): Date | undefined {
  const at = new Date(Date.now() + (waitMs ?? Number.NaN));
  // A number that no date can hold is a floor all the same, but nothing to plan with.
  return Number.isNaN(at.getTime()) ? undefined : at;
}

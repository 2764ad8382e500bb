/** The one loop: the same key and the same bytes, again and again, until the answer is final or the time is up. */
import { IdempotencyError, OutcomeUnknownError } from "@oncekey/shared";
import pRetry from "p-retry";
import { fullJitterMs } from "./backoff.ts";
import type { RetryBudget } from "./backoff.ts";
import { classify, isAcknowledged } from "./classify.ts";
import type { Verdict } from "./classify.ts";
import type { RetryPolicy } from "./options.ts";
import type { PreparedRequest } from "./request.ts";
import type { Answer, Send } from "./send.ts";
import type { Warn } from "./warning.ts";

/** What the loop needs from the client. */
export interface LoopParts {
  readonly send: Send;
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
}

/** How the loop ended. `unsent`: it was stopped before the first byte left. */
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
  /** Attempts that were sent, polls not counted. */
  readonly attempts: number;
  /** The last answer that came whole, final or not. */
  readonly answer: Answer | undefined;
}

type Again = Extract<Verdict, { kind: "retry" | "poll" }>;

/** Thrown to p-retry, which asks for an error; it never decides anything itself. */
class AttemptFailedError extends Error {
  override name = "AttemptFailedError";
}

/** Sends until the outcome is known or cannot be. Never throws for anything that a network or a server does. */
export async function sendUntilSettled(parts: LoopParts, input: LoopInput): Promise<Settlement> {
  const { send, budget, warn } = parts;
  const { request, key, policy, signal } = input;
  const deadlineAt = performance.now() + policy.deadlineMs;
  let { isUnresolved } = input;
  let attempts = 0;
  let polls = 0;
  let isSent = false;
  let answer: Answer | undefined;
  // Held beside the loop: p-retry drops a success when a signal aborts late, and would classify by itself.
  let ending: Ending | undefined;
  let again: Again | undefined;

  async function attempt(): Promise<void> {
    again = undefined;
    if (signal?.aborted) {
      ending = stopped(key, signal, isSent || input.isUnresolved);
      return;
    }
    attempts += 1;
    const timeoutMs = Math.max(
      1,
      Math.min(policy.attemptTimeoutMs, deadlineAt - performance.now()),
    );
    let verdict: Verdict;
    try {
      answer = await send(request, key, { timeoutMs, signal, onSent: () => (isSent = true) });
      verdict = classify(answer, key, isUnresolved);
    } catch (cause) {
      if (signal?.aborted) {
        ending = stopped(key, signal, isSent || input.isUnresolved);
        return;
      }
      verdict = { kind: "retry", cause: noAnswer(key, cause), waitMs: undefined };
    }
    ending = toEnding(verdict);
    if (ending === undefined) throw new AttemptFailedError();
  }

  function toEnding(verdict: Verdict): Ending | undefined {
    switch (verdict.kind) {
      case "done":
        budget.refill();
        return answer === undefined ? undefined : finished(verdict, answer);
      case "rejected":
        return verdict;
      case "unknown":
        return { ...verdict, retryAt: undefined };
      case "poll":
        attempts -= 1;
        polls += 1;
        isUnresolved = true;
        again = verdict;
        return undefined;
      case "retry":
        isUnresolved ||= isSent;
        again = verdict;
        return undefined;
      default:
        return verdict satisfies never;
    }
  }

  function finished(verdict: Extract<Verdict, { kind: "done" }>, from: Answer): Ending {
    if (isAcknowledged(from, key)) return { ...verdict, answer: from };
    const message = `${request.method} ${request.url} succeeded without echoing Idempotency-Key: is the route protected?`;
    warn({ code: "unacknowledged", message });
    if (policy.onUnacknowledged === "warn") return { ...verdict, answer: from };
    const error = new OutcomeUnknownError(message, { key, status: verdict.status });
    return { kind: "unknown", error, retryAt: undefined };
  }

  /** Waits for the next attempt, or ends the loop where there is none. */
  async function mayGoOn(): Promise<boolean> {
    if (again === undefined) return false;
    const { kind, cause, waitMs = 0 } = again;
    const giveUp = (why: string, retryAt?: Date): false => {
      const message = `${why}; how it ended is not known`;
      ending = { kind: "unknown", error: unknown(message, key, cause), retryAt };
      return false;
    };
    if (kind === "retry" && attempts >= policy.attempts) {
      return giveUp(`No final answer after ${attempts} attempts`, later(again.waitMs));
    }
    const pauseMs = Math.max(
      waitMs,
      fullJitterMs(kind === "poll" ? polls : attempts, policy.backoff),
    );
    if (performance.now() + pauseMs >= deadlineAt) {
      return giveUp(`No final answer within ${policy.deadlineMs} ms`, later(again.waitMs));
    }
    if (kind === "retry" && !budget.take())
      return giveUp("The client's retry budget is used up", later(again.waitMs));
    await pause(pauseMs, signal);
    return true;
  }

  try {
    await pRetry(attempt, {
      retries: Number.POSITIVE_INFINITY,
      minTimeout: 0,
      shouldRetry: mayGoOn,
    });
  } catch (error) {
    if (!(error instanceof AttemptFailedError)) throw error;
  }
  return {
    ending: ending ?? {
      kind: "unknown",
      error: unknown("The attempts ended", key),
      retryAt: undefined,
    },
    attempts,
    answer,
  };
}

function stopped(key: string, signal: AbortSignal, mayHaveArrived: boolean): Ending {
  const cause: unknown = signal.reason;
  if (mayHaveArrived) {
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
  return waitMs === undefined ? undefined : new Date(Date.now() + waitMs);
}

/** Ends early, without an error, when the signal aborts: the next attempt sees that for itself. */
function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end, { once: true });
  });
}

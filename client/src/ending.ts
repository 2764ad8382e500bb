/** How the loop ends: by an answer, or without one where it is given up or stopped. */
import { IdempotencyError, OutcomeUnknownError } from "@oncekey/shared";
import { reasonOf } from "./limit.ts";
import type { Answer } from "./send.ts";

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

/** Where a run stands that ends without a final answer. */
export interface Standing {
  readonly key: string;
  /** Whether any request with this key can have reached the server. */
  readonly mayHaveArrived: boolean;
}

/** @param last what the last attempt ended with. */
export function gaveUp(
  why: string,
  { key, mayHaveArrived }: Standing,
  last?: { readonly cause: IdempotencyError; readonly waitMs: number | undefined },
): Ending {
  const cause = last?.cause;
  if (!mayHaveArrived) {
    const message = `${why}, and nothing was sent: ${cause?.message ?? "no reason is known"}`;
    return { kind: "unsent", error: new IdempotencyError(message, undefined, { key, cause }) };
  }
  const error = unknown(`${why}; how it ended is not known`, key, cause);
  return { kind: "unknown", error, retryAt: later(last?.waitMs) };
}

/** By the caller's signal. */
export function stopped(signal: AbortSignal, { key, mayHaveArrived }: Standing): Ending {
  const cause = reasonOf(signal);
  if (mayHaveArrived) {
    const message =
      "Stopped while the request may have arrived; it is not cancelled, and how it ended is not known";
    return { kind: "unknown", error: unknown(message, key, cause), retryAt: undefined };
  }
  const error = new IdempotencyError("Stopped before anything was sent", undefined, { key, cause });
  return { kind: "unsent", error };
}

/** What a network failure is to the loop. */
export function noAnswer(key: string, cause: unknown): IdempotencyError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new IdempotencyError(`No answer: ${reason}`, undefined, { key, cause });
}

/** The instant in so many milliseconds. */
export function later(waitMs: number | undefined): Date | undefined {
  const at = new Date(Date.now() + (waitMs ?? Number.NaN));
  // A number that no date can hold is a floor all the same, but nothing to plan with.
  return Number.isNaN(at.getTime()) ? undefined : at;
}

function unknown(message: string, key: string, cause?: unknown): OutcomeUnknownError {
  const status = cause instanceof IdempotencyError ? cause.status : undefined;
  return new OutcomeUnknownError(message, { key, cause, status });
}

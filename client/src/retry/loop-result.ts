/** The result of the retry loop: with an answer, or without one if the client gave up or was stopped. */
import { IdempotencyError } from "@oncekey/shared";
import type { ErrorDetails, UnexpectedAnswerError } from "@oncekey/shared";
import { reasonOf } from "../wire/timeout.ts";
import type { Loop, Told } from "./loop-state.ts";

/** The end of a loop. `unsent`: no byte left the device. */
export type LoopEnd =
  | {
      readonly kind: "done";
      readonly value: unknown;
      /** Why there is no value, if the answer does not match the schema of the operation. */
      readonly valueError?: UnexpectedAnswerError;
      /** `false`: the server remembers that the operation happened, and no longer its response. */
      readonly stored?: false;
      readonly replayed: boolean;
      readonly status: number;
    }
  | { readonly kind: "rejected" | "unsent" | "unknown"; readonly error: IdempotencyError };

/** The end of a loop, and facts about it. */
export type LoopResult = LoopEnd & { readonly told: Told };

/** Ends the loop without a final answer: the outcome is unknown if anything may have been sent. */
export function endWithout(loop: Loop, why: string, cause: unknown): LoopEnd {
  const { key, isSent, isUnresolved } = loop;
  if (isSent || isUnresolved) {
    const error = unknownBecause(cause, `${why}; the outcome is unknown`, key);
    return { kind: "unknown", error };
  }
  const failure = cause instanceof IdempotencyError ? `: ${cause.message}` : "";
  const message = `${why}; nothing was sent${failure}`;
  const error = new IdempotencyError(message, undefined, { key, cause });
  return { kind: "unsent", error };
}

/** Ends the loop because the caller's signal aborted. */
export function stopped(loop: Loop): LoopEnd {
  return endWithout(loop, "Stopped", reasonOf(loop.signal));
}

/** Makes the error of an unknown outcome, with the details of its cause. */
export function unknownBecause(
  cause: unknown,
  message: string,
  key: string | undefined,
): IdempotencyError {
  const known: ErrorDetails = cause instanceof IdempotencyError ? cause : {};
  return new IdempotencyError(message, "outcome_unknown", { ...known, key, cause });
}

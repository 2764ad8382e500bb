/** The result of the retry loop: with an answer, or without one if the client gave up or was stopped. */
import { IdempotencyError } from "@oncekey/shared";
import type { ErrorDetails, UnexpectedAnswerError } from "@oncekey/shared";
import type { HookError } from "../wire/hook-error.ts";
import { reasonOf } from "../wire/timeout.ts";
import type { LoopInput, LoopState, Told } from "./loop-state.ts";

/** The result of a loop. `unsent`: no byte left the device. */
export type LoopResult = { readonly told: Told } & (
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
  | { readonly kind: "rejected" | "unsent" | "unknown"; readonly error: IdempotencyError }
);

/** Ends the loop with the last failure as the cause. */
export function gaveUp(
  why: string,
  input: LoopInput,
  state: LoopState,
  cause: IdempotencyError,
): LoopResult {
  return withoutAnswer(input, state, cause, why, `: ${cause.message}`);
}

/** Ends the loop because the caller's signal aborted. */
export function stopped(signal: AbortSignal, input: LoopInput, state: LoopState): LoopResult {
  return withoutAnswer(input, state, reasonOf(signal), "Stopped");
}

/** Ends the loop because a hook threw. */
export function failed(cause: HookError, input: LoopInput, state: LoopState): LoopResult {
  return withoutAnswer(input, state, cause.cause, cause.message);
}

function withoutAnswer(
  { key, isUnresolved }: LoopInput,
  told: LoopState,
  cause: unknown,
  why: string,
  failure: string = "",
): LoopResult {
  if (told.isSent || isUnresolved) {
    const error = unknownBecause(cause, `${why}; the outcome is unknown`, key);
    return { kind: "unknown", error, told };
  }
  const message = `${why}; nothing was sent${failure}`;
  return {
    kind: "unsent",
    error: new IdempotencyError(message, undefined, { key, cause }),
    told,
  };
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

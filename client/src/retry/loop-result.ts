/** Endings of the retry loop: with an answer, or without one if the client gave up or was stopped. */
import { IdempotencyError } from "@oncekey/shared";
import type { ErrorDetails, UnexpectedAnswerError } from "@oncekey/shared";
import type { HookError } from "../wire/hook-error.ts";
import { reasonOf } from "../wire/timeout.ts";
import type { LoopInput, LoopState, Told } from "./loop-state.ts";

/** The ending of a loop. `unsent`: no byte left the device. */
export type Ending =
  | {
      readonly kind: "done";
      readonly value: unknown;
      /** Why there is no value, if the answer does not match the schema of the operation. */
      readonly valueError?: UnexpectedAnswerError;
      readonly replayed: boolean;
      readonly status: number;
    }
  | { readonly kind: "rejected" | "unsent" | "unknown"; readonly error: IdempotencyError };

/** The result of a loop: its ending, its last answer and the number of its attempts. */
export interface LoopResult extends Told {
  readonly ending: Ending;
  /** Number of attempts, without polls. */
  readonly attempts: number;
}

/** Ends the loop with the last failure as the cause. */
export function gaveUp(
  why: string,
  input: LoopInput,
  state: LoopState,
  cause: IdempotencyError,
): Ending {
  return withoutAnswer(input, state, cause, why, `: ${cause.message}`);
}

/** Ends the loop because the caller's signal aborted. */
export function stopped(signal: AbortSignal, input: LoopInput, state: LoopState): Ending {
  return withoutAnswer(input, state, reasonOf(signal), "Stopped");
}

/** Ends the loop because a hook threw. */
export function failed(cause: HookError, input: LoopInput, state: LoopState): Ending {
  return withoutAnswer(input, state, cause.cause, cause.message);
}

function withoutAnswer(
  { key, isUnresolved }: LoopInput,
  { isSent }: LoopState,
  cause: unknown,
  why: string,
  failure: string = "",
): Ending {
  if (isSent || isUnresolved) {
    return { kind: "unknown", error: unknownBecause(cause, `${why}; the outcome is unknown`, key) };
  }
  const message = `${why}; nothing was sent${failure}`;
  return { kind: "unsent", error: new IdempotencyError(message, undefined, { key, cause }) };
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

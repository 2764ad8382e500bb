/** How the loop ends: by an answer, or without one where it is given up or stopped. */
import { IdempotencyError } from "@oncekey/shared";
import type { ErrorDetails, UnexpectedAnswerError } from "@oncekey/shared";
import type { HookError } from "../wire/hook-error.ts";
import { reasonOf } from "../wire/timeout.ts";
import type { LoopInput, LoopState } from "./loop-state.ts";

/** How the loop ended. `unsent`: no byte ever left. */
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

/** What the last attempt ended with is the cause. */
export function gaveUp(
  why: string,
  input: LoopInput,
  state: LoopState,
  cause: IdempotencyError,
): Ending {
  const unsent = `${why}, and nothing was sent: ${cause.message}`;
  return withoutAnswer(input, state, cause, unsent, `${why}; how it ended is not known`);
}

/** By the caller's signal. */
export function stopped(signal: AbortSignal, input: LoopInput, state: LoopState): Ending {
  return withoutAnswer(
    input,
    state,
    reasonOf(signal),
    "Stopped before anything was sent",
    "Stopped; how it ended is not known",
  );
}

/** By a hook that threw. */
export function failed(cause: HookError, input: LoopInput, state: LoopState): Ending {
  const { message } = cause;
  return withoutAnswer(input, state, cause.cause, `${message}, and nothing was sent`, message);
}

function withoutAnswer(
  { key, isUnresolved }: LoopInput,
  { isSent }: LoopState,
  cause: unknown,
  unsent: string,
  unknown: string,
): Ending {
  return isSent || isUnresolved
    ? { kind: "unknown", error: unknownBecause(cause, unknown, key) }
    : { kind: "unsent", error: new IdempotencyError(unsent, undefined, { key, cause }) };
}

/** The error of an outcome that is not known, with what its cause knows. */
export function unknownBecause(
  cause: unknown,
  message: string,
  key: string | undefined,
): IdempotencyError {
  const known: ErrorDetails = cause instanceof IdempotencyError ? cause : {};
  return new IdempotencyError(message, "outcome_unknown", { ...known, key, cause });
}

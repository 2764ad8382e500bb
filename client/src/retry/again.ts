/** Reasons to try again. */
import type { IdempotencyError } from "@oncekey/shared";

/** A reason to send it again: `retry` costs an attempt, `poll` does not, because the first request still runs. */
export interface Again {
  readonly kind: "retry" | "poll";
  readonly cause: IdempotencyError;
}

export function isAgain(result: object): result is Again {
  return "cause" in result;
}

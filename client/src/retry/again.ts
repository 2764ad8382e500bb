/** Reasons to try again. */
import type { IdempotencyError } from "@oncekey/shared";

/** A reason to send it again: `retry` costs an attempt, `poll` does not, because the first request still runs. */
export interface Again {
  readonly kind: "retry" | "poll";
  readonly cause: IdempotencyError;
  /** Whether the server named a time that cannot be read. */
  readonly isTimeUnreadable?: boolean;
}

export function isAgain(result: object): result is Again {
  return "cause" in result;
}

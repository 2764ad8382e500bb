/** What an answer means for the operation: by the problem's code first, by its status second. */
import {
  IDEMPOTENCY_KEY,
  IDEMPOTENCY_MISMATCH,
  IDEMPOTENT_REPLAYED,
  KeyConflictError,
  formatKey,
} from "@oncekey/shared";
import type { ErrorMaker, IdempotencyError, ProblemCode } from "@oncekey/shared";
import { retryAfterMs } from "../options/backoff.ts";
import { readRefusal } from "./error-formats.ts";
import type { Refusal } from "./error-formats.ts";
import { unknownBecause } from "./loop-result.ts";
import { isMembers } from "../validation/is-object.ts";
import { bodyOf } from "../wire/answer.ts";
import type { Answer } from "../wire/answer.ts";

/** A reason to send it again: `retry` costs an attempt, `poll` does not, because the first request still runs. */
export interface Again {
  readonly kind: "retry" | "poll";
  readonly cause: IdempotencyError;
  /** Whether the server named a time that cannot be read. */
  readonly isTimeUnreadable?: boolean;
}

/** `unknown`: no further attempt can tell. */
export type Verdict =
  | {
      readonly kind: "done";
      readonly value: unknown;
      readonly replayed: boolean;
      readonly status: number;
    }
  | { readonly kind: "rejected" | "unknown"; readonly error: IdempotencyError }
  | Again;

// 408, 425 and 429 ask to be repeated; the 5xx of this list come from a failing server or from what stands before it.
const RETRYABLE: ReadonlySet<number> = new Set([
  408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524,
]);

/** @param isUnresolved whether an earlier attempt with this key may have had an effect. */
export function classify(
  answer: Answer,
  key: string,
  isUnresolved: boolean,
  createError: ErrorMaker,
): Verdict {
  const { status, headers } = answer;
  const body = bodyOf(answer);
  const replayed = headers.get(IDEMPOTENT_REPLAYED) === "true";
  if (headers.get(IDEMPOTENCY_MISMATCH) === "true") {
    const message = "An earlier operation with other content exists under this key";
    const original = { status, body };
    return rejected(new KeyConflictError(message, { key, status, problem: body, original }));
  }
  if (status >= 200 && status < 300) return doneWith(answer, replayed);
  const refusal = readRefusal(body, status);
  const { code, message, problem, originalStatus } = refusal;
  const waitMs = retryAfterMs(headers);
  const details = { key, status, problem, originalStatus, retryAfterMs: waitMs };
  const error = createError(message, code, details);
  const advice = headers.get("x-should-retry") ?? headers.get("stripe-should-retry");
  const mayRetry = advice !== "false";
  if (code !== undefined) return byCode(code, refusal, error, isUnresolved, mayRetry);
  if (advice === "true") return { kind: "retry", cause: error };
  const verdict = byStatus(status, error, { isUnresolved, replayed, mayRetry });
  // A redirect may have become a GET. Its refusal is then about the page it leads to, and not about what the request did.
  const isElsewhere = answer.isRedirected && !isEchoed(answer, key);
  return verdict.kind === "rejected" && isElsewhere ? unknown(error) : verdict;
}

/** Whether the server echoed the key: the sign that it took notice of it. */
export function isAcknowledged(answer: Answer, key: string): boolean {
  // What a redirect ends at is another resource, which has no key to echo.
  return answer.isRedirected || isEchoed(answer, key);
}

function isEchoed({ headers }: Answer, key: string): boolean {
  const echoed = headers.get(IDEMPOTENCY_KEY);
  return echoed === formatKey(key) || echoed === formatKey(key, "structured");
}

function byCode(
  code: ProblemCode,
  { namesTime, originalStatus = 0 }: Refusal,
  error: IdempotencyError,
  isUnresolved: boolean,
  mayRetry: boolean,
): Verdict {
  switch (code) {
    case "idempotency_in_flight":
    case "idempotency_unavailable": {
      if (!mayRetry) return { kind: "unknown", error };
      const isTimeUnreadable = namesTime && error.retryAfterMs === undefined;
      const kind = code === "idempotency_in_flight" ? "poll" : "retry";
      return { kind, cause: error, isTimeUnreadable };
    }
    case "idempotency_outcome_unknown":
      return { kind: "unknown", error };
    case "idempotency_not_found":
    case "idempotency_key_expired":
      // Something was sent under this key, and the server does not know, or no longer, what came of it.
      return { kind: isUnresolved ? "unknown" : "rejected", error };
    case "idempotency_response_not_stored":
      // Without the status of what was done, nobody knows whether it was.
      if (originalStatus < 200) return unknown(error);
      if (originalStatus > 299) return rejected(error);
      return { kind: "done", value: undefined, replayed: true, status: originalStatus };
    case "idempotency_key_required":
    case "idempotency_key_invalid":
    case "idempotency_conflict":
      return rejected(error);
    default:
      return code satisfies never;
  }
}

interface StatusContext {
  readonly isUnresolved: boolean;
  readonly replayed: boolean;
  readonly mayRetry: boolean;
}

function byStatus(status: number, error: IdempotencyError, context: StatusContext): Verdict {
  const { isUnresolved, replayed, mayRetry } = context;
  // Authentication runs before the key is looked at: this says nothing about what an earlier attempt did.
  if (status === 401 || status === 403) return isUnresolved ? unknown(error) : rejected(error);
  if (replayed && status >= 500) return rejected(error);
  const isRunning = isStillRunning(status, error);
  if (isRunning || RETRYABLE.has(status)) {
    return mayRetry ? { kind: isRunning ? "poll" : "retry", cause: error } : unknown(error);
  }
  // A redirect that could not be followed, and failures that are not known, leave open what was done.
  if (status < 400) return unknown(error);
  // 501 and 505: the server will not do this request at all, now or later.
  return status < 500 || status === 501 || status === 505 ? rejected(error) : unknown(error);
}

// Other services mean a conflict of their own by 409 and then say which; one that names a time and no code asks to wait.
function isStillRunning(
  status: number,
  { retryAfterMs: waitMs, problem }: IdempotencyError,
): boolean {
  return status === 409 && waitMs !== undefined && !(isMembers(problem) && "code" in problem);
}

function rejected(error: IdempotencyError): Verdict {
  return { kind: "rejected", error };
}

// An error of the application would advise a new key, which is what an unknown outcome must not have.
function unknown(cause: IdempotencyError): Verdict {
  return { kind: "unknown", error: unknownBecause(cause, cause.message, cause.key) };
}

function doneWith({ value, text, status }: Answer, replayed: boolean): Verdict {
  return { kind: "done", value: "value" in value ? value.value : text, replayed, status };
}

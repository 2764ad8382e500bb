/** Classifies an answer: by the problem's code first, by its status second. */
import {
  IDEMPOTENCY_KEY,
  IDEMPOTENCY_MISMATCH,
  IDEMPOTENT_REPLAYED,
  KeyConflictError,
  UnexpectedAnswerError,
  formatKey,
} from "@oncekey/shared";
import type { ErrorMaker, IdempotencyError, ProblemCode } from "@oncekey/shared";
import { retryAfterMs } from "../options/backoff.ts";
import type { Again } from "./again.ts";
import { readRefusal } from "./error-formats.ts";
import type { Refusal } from "./error-formats.ts";
import { unknownBecause } from "./loop-result.ts";
import type { Ending } from "./loop-result.ts";
import { bodyOf, isHtml, isJson, parseJson } from "../wire/answer.ts";
import type { Answer } from "../wire/answer.ts";

/** `unknown`: another attempt would not settle it. */
export type Verdict = Exclude<Ending, { kind: "unsent" }> | Again;

export interface Context {
  readonly key: string;
  /** Whether an earlier attempt with this key may have had an effect. */
  readonly isUnresolved: boolean;
  /** Whether this API echoes keys, so that a refusal without the echo comes from somewhere in front of it. */
  readonly isEchoing: boolean;
  readonly createError: ErrorMaker;
}

// 408, 425 and 429 ask for a retry; the 5xx of this list come from a failing server or a gateway.
const RETRYABLE: ReadonlySet<number> = new Set([
  408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524,
]);
// After an attempt without an answer, the first request may still run.
const BUSY: ReadonlySet<number> = new Set([409, 423, 425, 429]);

/** Message for a key that belongs to another request. */
export const OTHER_CONTENT = "An earlier operation with other content exists under this key";

export function classify(answer: Answer, context: Context): Verdict {
  const { key, createError } = context;
  const { status, headers } = answer;
  const body = bodyOf(answer);
  const isSuccess = status >= 200 && status < 300;
  if (headers.get(IDEMPOTENCY_MISMATCH) === "true") {
    const original = { status, body };
    return rejected(new KeyConflictError(OTHER_CONTENT, { key, status, problem: body, original }));
  }
  const refusal = readRefusal(body, status, isSuccess);
  const { code, message, originalStatus } = refusal;
  const waitMs = retryAfterMs(headers);
  const details = { key, status, problem: body, originalStatus, retryAfterMs: waitMs };
  const error = createError(message, code, details);
  const advice = headers.get("x-should-retry") ?? headers.get("stripe-should-retry");
  // Adyen's own header: "false" means that the same request will not do better.
  const mayRetry = (advice ?? headers.get("transient-error")) !== "false";
  if (code !== undefined) return byCode(code, refusal, error, context, mayRetry);
  if (isSuccess) return judgeSuccess(answer, key);
  if (advice === "true") return { kind: "retry", cause: error };
  if (refusal.isAboutKey && !isHtml(answer)) {
    const isBusy = BUSY.has(status) && (context.isUnresolved || waitMs !== undefined);
    if (isBusy && mayRetry) return { kind: "poll", cause: error };
    if (!RETRYABLE.has(status)) return unknown(error);
  }
  return byStatus(answer, error, context, mayRetry);
}

/** Whether the server echoed the key, and so has seen it. */
export function isAcknowledged({ headers }: Answer, key: string): boolean {
  const echoed = headers.get(IDEMPOTENCY_KEY);
  return echoed === formatKey(key) || echoed === formatKey(key, "structured");
}

/** Accepts a success if it can have come from the application. */
function judgeSuccess(answer: Answer, key: string): Verdict {
  const { status, headers, text, value, isRedirected, wantsJson } = answer;
  const isEchoed = isAcknowledged(answer, key);
  const replayed = headers.get(IDEMPOTENT_REPLAYED) === "true";
  const unexpected = (message: string, cause?: unknown) =>
    new UnexpectedAnswerError(message, { key, status, problem: text, cause });
  if (wantsJson && !isEchoed && (isHtml(answer) || (isRedirected && !isJson(headers)))) {
    return {
      kind: "unknown",
      error: unexpected(`Got a page instead of JSON: ${answer.response.url}`),
    };
  }
  if (!("error" in value)) return { kind: "done", value: value.value, replayed, status };
  if (isJson(headers) && "error" in parseJson(text)) {
    return { kind: "retry", cause: unexpected("The answer was cut off", value.error) };
  }
  const valueError = unexpected("A hook or parseJson threw", value.error);
  return isEchoed
    ? { kind: "done", value: undefined, valueError, replayed, status }
    : { kind: "unknown", error: valueError };
}

function byCode(
  code: ProblemCode,
  { hasRetryTime, originalStatus = 0 }: Refusal,
  error: IdempotencyError,
  { isUnresolved }: Context,
  mayRetry: boolean,
): Verdict {
  switch (code) {
    case "idempotency_in_flight":
    case "idempotency_unavailable": {
      if (!mayRetry) return { kind: "unknown", error };
      const isTimeUnreadable = hasRetryTime && error.retryAfterMs === undefined;
      const kind = code === "idempotency_in_flight" ? "poll" : "retry";
      return { kind, cause: error, isTimeUnreadable };
    }
    case "idempotency_outcome_unknown":
      return { kind: "unknown", error };
    case "idempotency_not_found":
    case "idempotency_key_expired":
      // An earlier attempt was sent with this key, and the server has no record of it, or has it no longer.
      return { kind: isUnresolved ? "unknown" : "rejected", error };
    case "idempotency_response_not_stored":
      // Without the original status the outcome is unknown.
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

function byStatus(
  answer: Answer,
  error: IdempotencyError,
  { key, isUnresolved, isEchoing }: Context,
  mayRetry: boolean,
): Verdict {
  const { status, headers } = answer;
  const isEchoed = isAcknowledged(answer, key);
  // Authentication runs before the key is looked at: the outcome of an earlier attempt stays unknown.
  if (status === 401 || status === 403) return isUnresolved ? unknown(error) : rejected(error);
  if (headers.get(IDEMPOTENT_REPLAYED) === "true" && status >= 500) return rejected(error);
  const isStranger = isUnresolved && !isEchoed;
  // A 409 with a code is a conflict of the application; one with a time and no code asks the client to wait.
  const isRunning = isStranger
    ? BUSY.has(status)
    : status === 409 && error.retryAfterMs !== undefined && !hasCode(error.problem);
  if (isRunning || RETRYABLE.has(status)) {
    return mayRetry ? { kind: isRunning ? "poll" : "retry", cause: error } : unknown(error);
  }
  // After a redirect that could not be followed, or an unknown failure, the outcome is unknown.
  if (status < 400 || (status > 499 && status !== 501 && status !== 505)) return unknown(error);
  // A redirect may have become a GET, whose refusal is about the page that it leads to.
  if (answer.isRedirected && !isEchoed) return unknown(error);
  if (!isStranger) return rejected(error);
  // The answer may come from a gateway, a proxy or another release. An application declines in JSON.
  const isShop = (status === 402 || status === 422) && isJson(headers) && !isEchoing;
  return isShop ? rejected(error) : unknown(error);
}

function hasCode(problem: unknown): boolean {
  return typeof problem === "object" && problem !== null && "code" in problem;
}

function rejected(error: IdempotencyError): Verdict {
  return { kind: "rejected", error };
}

// An error of the application advises a new key, which would be wrong for an unknown outcome.
function unknown(cause: IdempotencyError): Verdict {
  return { kind: "unknown", error: unknownBecause(cause, cause.message, cause.key) };
}

/** Classifies an answer: by the problem's code first, by its status second. */
import {
  IDEMPOTENCY_KEY,
  IDEMPOTENCY_MISMATCH,
  IDEMPOTENT_REPLAYED,
  IdempotencyError,
  KeyConflictError,
  UnexpectedAnswerError,
  formatKey,
} from "@oncekey/shared";
import type { ProblemCode } from "@oncekey/shared";
import { retryAfterMs } from "../options/backoff.ts";
import type { Again } from "./again.ts";
import { readRefusal } from "./error-formats.ts";
import type { Refusal } from "./error-formats.ts";
import { unknownBecause } from "./loop-result.ts";
import type { LoopEnd } from "./loop-result.ts";
import type { Loop } from "./loop-state.ts";
import { warnOfEcho, warnOfTime } from "./server-warnings.ts";
import { isMembers } from "../validation/is-object.ts";
import { bodyOf, isHtml, isJson, parseJson } from "../wire/answer.ts";
import type { Answer } from "../wire/answer.ts";

// 408, 425 and 429 ask for a retry; the 5xx of this list come from a failing server or a gateway.
const RETRYABLE: ReadonlySet<number> = new Set([
  408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524,
]);
// After an attempt without an answer, the first request may still run.
const BUSY: ReadonlySet<number> = new Set([409, 423, 425, 429]);

/** Message for a key that belongs to another request. */
export const OTHER_CONTENT = "An earlier operation with other content exists under this key";

/** A refusal in its loop. */
interface Refused extends Refusal {
  readonly loop: Loop;
  readonly answer: Answer;
  readonly error: IdempotencyError;
  /** Whether the server echoed the key. */
  readonly isEchoed: boolean;
  /** Whether this API echoes keys, so that a refusal without the echo comes from somewhere in front of it. */
  readonly isEchoing: boolean;
  /** `false`: the server refuses the same request again. */
  readonly mayRetry: boolean;
}

/** Turns an answer into the result of the loop, or into a reason for another attempt. */
export function classify(answer: Answer, loop: Loop): LoopEnd | Again {
  const { key, createError, echoing, policy } = loop;
  const { status, headers } = answer;
  const body = bodyOf(answer);
  const { origin } = new URL(loop.request.url);
  const isEchoed = isAcknowledged(answer, key);
  if (isEchoed && !answer.isRedirected) echoing.add(origin);
  const isEchoing = policy.onUnacknowledged === "refuse" || echoing.has(origin);
  const isSuccess = isDone(status);
  const refusal = readRefusal(body, status, isSuccess);
  const { code, message, originalStatus } = refusal;
  if (headers.get(IDEMPOTENCY_MISMATCH) === "true") {
    // Past its retention the earlier operation has a status, and its body is lost.
    const original =
      code === "idempotency_response_not_stored"
        ? ({ status: originalStatus ?? 0, body: undefined, stored: false } as const)
        : { status, body };
    const details = { key, status, problem: body, original };
    return rejected(new KeyConflictError(OTHER_CONTENT, details));
  }
  if (isSuccess && code === undefined) return judgeSuccess(answer, loop, isEchoed);
  const waitMs = retryAfterMs(headers);
  const details = { key, status, problem: body, originalStatus, retryAfterMs: waitMs };
  const error = createError(message, code, details);
  const advice = headers.get("x-should-retry") ?? headers.get("stripe-should-retry");
  // Adyen's own header: "false" means that the same request will not do better.
  const mayRetry = (advice ?? headers.get("transient-error")) !== "false";
  const refused = { ...refusal, loop, answer, error, isEchoed, isEchoing, mayRetry };
  if (code !== undefined) return byCode(code, refused);
  if (advice === "true") return { kind: "retry", cause: error };
  if (refusal.isAboutKey && !isHtml(answer)) {
    const isBusy = BUSY.has(status) && (loop.isUnresolved || waitMs !== undefined);
    if (isBusy && mayRetry) return { kind: "poll", cause: error };
    if (!RETRYABLE.has(status)) return unknown(error);
  }
  return byStatus(refused);
}

/** Whether an operation with this status happened. */
export function isDone(status: number): boolean {
  return status >= 200 && status < 300;
}

/** Whether an operation with this status did not happen. */
export function isRefused(status: number): boolean {
  return status >= 400 && status < 600;
}

/** Whether the server echoed the key, and so has seen it. */
export function isAcknowledged({ headers }: Answer, key: string): boolean {
  const echoed = headers.get(IDEMPOTENCY_KEY);
  return echoed === formatKey(key) || echoed === formatKey(key, "structured");
}

/** Accepts a success if it can have come from the application. */
function judgeSuccess(answer: Answer, loop: Loop, isEchoed: boolean): LoopEnd | Again {
  const { key, policy } = loop;
  const { status, headers, text, value, isRedirected, wantsJson } = answer;
  const replayed = headers.get(IDEMPOTENT_REPLAYED) === "true";
  const unexpected = (message: string, cause?: unknown) =>
    new UnexpectedAnswerError(message, { key, status, problem: text, cause });
  if (wantsJson && !isEchoed && (isHtml(answer) || (isRedirected && !isJson(headers)))) {
    const error = unexpected(`Got a page instead of JSON: ${answer.response.url}`);
    return { kind: "unknown", error };
  }
  const isValue = "value" in value;
  if (!isValue && isJson(headers) && "error" in parseJson(text)) {
    return { kind: "retry", cause: unexpected("A cut-off answer", value.error) };
  }
  const failure = isValue
    ? {}
    : { valueError: unexpected("A hook or parseJson threw", value.error) };
  if (!isEchoed && failure.valueError) return { kind: "unknown", error: failure.valueError };
  // The target of a redirect is another resource, which has no key to echo.
  if (!isEchoed && !isRedirected && policy.onUnacknowledged !== "ignore") {
    const message = warnOfEcho(loop, answer);
    const error = new IdempotencyError(message, "outcome_unknown", { key, status });
    if (policy.onUnacknowledged === "refuse") return { kind: "unknown", error };
  }
  return {
    kind: "done",
    replayed,
    status,
    value: isValue ? value.value : undefined,
    ...failure,
  };
}

function byCode(
  code: ProblemCode,
  { hasRetryTime, originalStatus = 0, error, loop, mayRetry }: Refused,
): LoopEnd | Again {
  switch (code) {
    case "idempotency_in_flight":
    case "idempotency_unavailable":
      if (!mayRetry) return { kind: "unknown", error };
      if (hasRetryTime && error.retryAfterMs === undefined) warnOfTime(loop);
      return { kind: code === "idempotency_in_flight" ? "poll" : "retry", cause: error };
    case "idempotency_outcome_unknown":
      return { kind: "unknown", error };
    case "idempotency_not_found":
    case "idempotency_key_expired":
      // An earlier attempt was sent with this key, and the server has no record of it, or has it no longer.
      return { kind: loop.isUnresolved ? "unknown" : "rejected", error };
    case "idempotency_response_not_stored":
      if (isDone(originalStatus)) {
        const status = originalStatus;
        return { kind: "done", value: undefined, stored: false, replayed: true, status };
      }
      // Without the original status, or after a redirect that can no longer be followed, the outcome is unknown.
      return (isRefused(originalStatus) ? rejected : unknown)(error);
    case "idempotency_key_required":
    case "idempotency_key_invalid":
    case "idempotency_conflict":
      return rejected(error);
    default:
      return code satisfies never;
  }
}

function byStatus(refused: Refused): LoopEnd | Again {
  const { answer, error, loop, isEchoed, isEchoing, mayRetry } = refused;
  const { status, headers, isRedirected } = answer;
  const { isUnresolved } = loop;
  const settle = (isFinal: boolean): LoopEnd => (isFinal ? rejected : unknown)(error);
  // A stored answer stays as it is, however often the client asks.
  if (headers.get(IDEMPOTENT_REPLAYED) === "true" && isRefused(status)) return settle(true);
  // Authentication runs before the key is looked at: the outcome of an earlier attempt stays unknown.
  if (status === 401 || status === 403) return settle(!isUnresolved);
  const isStranger = isUnresolved && !isEchoed;
  // A 409 with a code is a conflict of the application; one with a time and no code asks the client to wait.
  const isRunning = isStranger
    ? BUSY.has(status)
    : status === 409 &&
      error.retryAfterMs !== undefined &&
      !(isMembers(error.problem) && "code" in error.problem);
  if (isRunning || RETRYABLE.has(status)) {
    return mayRetry ? { kind: isRunning ? "poll" : "retry", cause: error } : settle(false);
  }
  // After a redirect that could not be followed, or an unknown failure, the outcome is unknown.
  if (status < 400 || (status > 499 && status !== 501 && status !== 505)) return settle(false);
  // A redirect may have become a GET, whose refusal is about the page that it leads to.
  if (isRedirected && !isEchoed) return settle(false);
  if (!isStranger) return settle(true);
  // The answer may come from a gateway, a proxy or another release. An application declines in JSON.
  return settle((status === 402 || status === 422) && isJson(headers) && !isEchoing);
}

function rejected(error: IdempotencyError): LoopEnd {
  return { kind: "rejected", error };
}

// An error of the application advises a new key, which would be wrong for an unknown outcome.
function unknown(cause: IdempotencyError): LoopEnd {
  return { kind: "unknown", error: unknownBecause(cause, cause.message, cause.key) };
}

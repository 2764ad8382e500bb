/** The refusals of the contract as problem documents (RFC 9457). */

/** Media type of every refusal (RFC 9457 §6.1). */
export const PROBLEM_CONTENT_TYPE = "application/problem+json";

/** Prefix of a problem's `type` unless the server sets `problemBaseUri`. */
export const PROBLEM_BASE_URI = "urn:oncekey:problem:";

/** The codes that a server can refuse with. */
export type ProblemCode =
  | "idempotency_key_required"
  | "idempotency_key_invalid"
  | "idempotency_not_found"
  | "idempotency_in_flight"
  | "idempotency_conflict"
  | "idempotency_key_expired"
  | "idempotency_outcome_unknown"
  | "idempotency_response_not_stored"
  | "idempotency_unavailable";

/**
 * What the holder of the key should do next: `wait` and send the same request again, `resume` the operation that the key
 * belongs to, `rotate` to a new key, or `fix` what no retry can mend.
 */
export type NextAction = "wait" | "resume" | "rotate" | "fix";

/** What is fixed for one code. */
export interface ProblemKind {
  readonly status: number;
  readonly title: string;
  /** Whether the same request with the same key may succeed later. */
  readonly retryable: boolean;
  readonly nextAction: NextAction;
}

/** A refusal as it travels: `application/problem+json` (RFC 9457 §3), with `code` and `retryable` as extension members. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ProblemCode;
  readonly retryable: boolean;
  /** Only on `idempotency_response_not_stored`: the status that the handler answered with. */
  readonly originalStatus?: number;
}

/** Every code with its status, title and advice: the one table that server and client share. */
export const PROBLEMS: Readonly<Record<ProblemCode, ProblemKind>> = Object.freeze({
  idempotency_key_required: kind(400, "An idempotency key is required", false, "fix"),
  idempotency_key_invalid: kind(400, "The idempotency key is invalid", false, "fix"),
  idempotency_not_found: kind(404, "Nothing is stored for this key", false, "resume"),
  idempotency_in_flight: kind(409, "The first request with this key still runs", true, "wait"),
  idempotency_conflict: kind(422, "The key was used for another request", false, "rotate"),
  idempotency_key_expired: kind(412, "The key is older than the retention", false, "fix"),
  idempotency_outcome_unknown: kind(500, "The outcome of the request is unknown", false, "fix"),
  idempotency_response_not_stored: kind(410, "The response could not be kept", false, "rotate"),
  idempotency_unavailable: kind(503, "The idempotency store is unavailable", true, "wait"),
});

/** The particulars of one refusal, for {@link createProblem}. */
export interface ProblemDetails {
  /** What happened to this request, in one sentence. */
  readonly detail: string;
  /** Prefix of `type`. Default {@link PROBLEM_BASE_URI}: a URN needs no page to exist. */
  readonly baseUri?: string | undefined;
  readonly originalStatus?: number | undefined;
}

/** Makes the problem document for a code. */
export function createProblem(code: ProblemCode, details: ProblemDetails): Problem {
  const { status, title, retryable } = PROBLEMS[code];
  return {
    type: `${details.baseUri ?? PROBLEM_BASE_URI}${code}`,
    title,
    status,
    detail: details.detail,
    code,
    retryable,
    ...(details.originalStatus === undefined ? {} : { originalStatus: details.originalStatus }),
  };
}

/**
 * Reads a problem of this contract from a parsed response body: an object whose `code` is one of ours. Other members
 * that are missing or of the wrong type are filled from {@link PROBLEMS}. Anything else: `undefined`. Never throws.
 */
export function parseProblem(body: unknown): Problem | undefined {
  if (typeof body !== "object" || body === null) return undefined;
  const members = body as Readonly<Record<string, unknown>>;
  const { code, type, detail, originalStatus } = members;
  if (!isProblemCode(code)) return undefined;
  const { status, title, retryable } = PROBLEMS[code];
  return {
    type: typeof type === "string" ? type : `${PROBLEM_BASE_URI}${code}`,
    title: typeof members["title"] === "string" ? members["title"] : title,
    status: typeof members["status"] === "number" ? members["status"] : status,
    detail: typeof detail === "string" ? detail : title,
    code,
    retryable: typeof members["retryable"] === "boolean" ? members["retryable"] : retryable,
    ...(typeof originalStatus === "number" ? { originalStatus } : {}),
  };
}

/** Whether a value is one of the contract's codes. */
export function isProblemCode(value: unknown): value is ProblemCode {
  return typeof value === "string" && Object.hasOwn(PROBLEMS, value);
}

function kind(status: number, title: string, retryable: boolean, next: NextAction): ProblemKind {
  return Object.freeze({ status, title, retryable, nextAction: next });
}

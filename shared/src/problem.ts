/** The refusals of the contract as problem documents (RFC 9457). */
import { isProblemCode, kindOf } from "./problem-code.ts";
import type { CodeKind, ProblemCode } from "./problem-code.ts";

/** Media type of every refusal (RFC 9457 §6.1). */
export const PROBLEM_CONTENT_TYPE = "application/problem+json";

/** Prefix of a problem's `type` unless the server sets `problemBaseUri`. */
export const PROBLEM_BASE_URI = "urn:oncekey:problem:";

/** {@link CodeKind} with its title. */
export interface ProblemKind extends CodeKind {
  readonly title: string;
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

const TITLES: Readonly<Record<ProblemCode, string>> = {
  idempotency_key_required: "An idempotency key is required",
  idempotency_key_invalid: "The idempotency key is invalid",
  idempotency_not_found: "Nothing is stored for this key",
  idempotency_in_flight: "The first request with this key still runs",
  idempotency_conflict: "The key was used for another request",
  idempotency_key_expired: "The key is older than the retention",
  idempotency_outcome_unknown: "The outcome of the request is unknown",
  idempotency_response_not_stored: "The response is not kept",
  idempotency_unavailable: "The idempotency store is unavailable",
};

/** Every code with its status, title and advice. */
export const PROBLEMS: Readonly<Record<ProblemCode, ProblemKind>> =
  /* @__PURE__ */ createProblems();

/** The particulars of one refusal, for {@link createProblem}. */
export interface ProblemDetails {
  /** The reason for this request's refusal, in one sentence. */
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

function createProblems(): Readonly<Record<ProblemCode, ProblemKind>> {
  const kinds = Object.entries(TITLES).map(([code, title]) => [
    code,
    Object.freeze({ ...kindOf(code), title }),
  ]);
  return Object.freeze(Object.fromEntries(kinds) as Record<ProblemCode, ProblemKind>);
}

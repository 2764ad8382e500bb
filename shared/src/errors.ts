/** The contract's refusals as errors: one base, one class per code. */
import { PROBLEMS } from "./problem.ts";
import type { NextAction, ProblemCode, ProblemKind } from "./problem.ts";

// Registered symbols are one per process, so two copies of this package recognise each other's errors.
const BRAND: unique symbol = Symbol.for("oncekey.error");

/**
 * The codes that no server sends:
 *
 * - `outcome_unknown`: the client does not know how its operation ended;
 * - `unexpected_answer`: the answer is not what the application sends;
 * - `input_required`: the body of the request was not stored, so that the client cannot send it again;
 * - `earlier_operation_exists`: the server knows another request under the key.
 */
export type ClientCode =
  | "outcome_unknown"
  | "unexpected_answer"
  | "input_required"
  | "earlier_operation_exists";

/** Every code that an {@link IdempotencyError} can carry. Errors of the application carry none. */
export type ErrorCode = ProblemCode | ClientCode;

const CLIENT_KINDS: Readonly<Record<ClientCode, Partial<ProblemKind>>> = {
  outcome_unknown: { retryable: true, nextAction: "resume" },
  unexpected_answer: { nextAction: "resume" },
  input_required: { nextAction: "fix" },
  earlier_operation_exists: { nextAction: "resume" },
};

/** The particulars of an {@link IdempotencyError}. */
export interface ErrorDetails {
  /** The key that the request carried, if there was one. */
  readonly key?: string | undefined;
  /** HTTP status, 100–599. Defaults to the status of the code. */
  readonly status?: number | undefined;
  /** The body of the refusal, as it was parsed. */
  readonly problem?: unknown;
  /** From `Retry-After`: the shortest wait in milliseconds before the next attempt. */
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/**
 * What every Oncekey error is. `code` is undefined for an error of the application itself (a declined card), which the
 * client reports with its `status` and its body in `problem`.
 *
 * Tell errors apart by `code`, or with {@link isIdempotencyError}: `instanceof` fails where two copies of the package meet.
 */
export class IdempotencyError extends Error {
  override name = "IdempotencyError";
  declare readonly code: ErrorCode | undefined;
  declare readonly status: number | undefined;
  /** Whether the same request with the same key may succeed later. */
  declare readonly retryable: boolean;
  declare readonly key: string | undefined;
  declare readonly nextAction: NextAction;
  declare readonly problem: unknown;
  /** Milliseconds, at least 0; undefined where the server named no time. */
  declare readonly retryAfterMs: number | undefined;

  constructor(message: string, code?: ErrorCode, details: ErrorDetails = {}) {
    // Of the particulars, the platform's own class takes the cause.
    super(message, details);
    const kind = code && { ...CLIENT_KINDS, ...PROBLEMS }[code];
    Object.defineProperty(this, BRAND, { value: true });
    this.code = code;
    this.status = details.status ?? kind?.status;
    this.retryable = kind?.retryable ?? false;
    this.nextAction = kind?.nextAction ?? "rotate";
    this.key = details.key;
    this.problem = details.problem;
    this.retryAfterMs = details.retryAfterMs;
  }
}

/** 400: the route requires a key and the request had none. */
export class KeyRequiredError extends IdempotencyError {
  override name = "KeyRequiredError";
  declare readonly code: "idempotency_key_required";
  constructor(message: string, details?: ErrorDetails) {
    super(message, "idempotency_key_required", details);
  }
}

/** 400: the key is malformed, too long, or was sent twice. */
export class KeyInvalidError extends IdempotencyError {
  override name = "KeyInvalidError";
  declare readonly code: "idempotency_key_invalid";
  constructor(message: string, details?: ErrorDetails) {
    super(message, "idempotency_key_invalid", details);
  }
}

/** 404: only a stored response was asked for and nothing is stored. */
export class KeyNotFoundError extends IdempotencyError {
  override name = "KeyNotFoundError";
  declare readonly code: "idempotency_not_found";
  constructor(message: string, details?: ErrorDetails) {
    super(message, "idempotency_not_found", details);
  }
}

/** 409: the first request with this key still runs. */
export class KeyInFlightError extends IdempotencyError {
  override name = "KeyInFlightError";
  declare readonly code: "idempotency_in_flight";
  constructor(message: string, details?: ErrorDetails) {
    super(message, "idempotency_in_flight", details);
  }
}

/** The first operation's response, as a {@link KeyConflictError} hands it on. */
export interface OriginalResponse {
  readonly status: number;
  /** The parsed body, or the text where it is not JSON. */
  readonly body: unknown;
}

/** 422, or a replay marked as a mismatch: the key was used for another request. */
export class KeyConflictError extends IdempotencyError {
  override name = "KeyConflictError";
  declare readonly code: "idempotency_conflict";
  /** The first operation's response, where the server replayed it. */
  declare readonly original: OriginalResponse | undefined;
  constructor(
    message: string,
    details?: ErrorDetails & { readonly original?: OriginalResponse | undefined },
  ) {
    super(message, "idempotency_conflict", details);
    this.original = details?.original;
  }
}

/** 412: the key is older than the retention. */
export class KeyExpiredError extends IdempotencyError {
  override name = "KeyExpiredError";
  declare readonly code: "idempotency_key_expired";
  constructor(message: string, details?: ErrorDetails) {
    super(message, "idempotency_key_expired", details);
  }
}

/** 500: the owner of the key crashed and the route stays closed for it. */
export class KeyOutcomeUnknownError extends IdempotencyError {
  override name = "KeyOutcomeUnknownError";
  declare readonly code: "idempotency_outcome_unknown";
  constructor(message: string, details?: ErrorDetails) {
    super(message, "idempotency_outcome_unknown", details);
  }
}

/** 410: the request was done, with `originalStatus`, but its body could not be kept. */
export class ResponseNotStoredError extends IdempotencyError {
  override name = "ResponseNotStoredError";
  declare readonly code: "idempotency_response_not_stored";
  /** The status that the handler answered with. */
  declare readonly originalStatus: number | undefined;
  constructor(
    message: string,
    details?: ErrorDetails & { readonly originalStatus?: number | undefined },
  ) {
    super(message, "idempotency_response_not_stored", details);
    this.originalStatus = details?.originalStatus;
  }
}

/** 503: the store is down, its pool is full, or the outcome of a commit is not known yet. */
export class StoreUnavailableError extends IdempotencyError {
  override name = "StoreUnavailableError";
  declare readonly code: "idempotency_unavailable";
  constructor(message: string, details?: ErrorDetails) {
    super(message, "idempotency_unavailable", details);
  }
}

/** The client's own: attempts or deadline are used up and how the operation ended is not known. Resume it with the same key. */
export class OutcomeUnknownError extends IdempotencyError {
  override name = "OutcomeUnknownError";
  declare readonly code: "outcome_unknown";
  constructor(message: string, details?: ErrorDetails) {
    super(message, "outcome_unknown", details);
  }
}

/** One thing that a schema found wrong (Standard Schema, `Issue`). */
export interface AnswerIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** The client's own: the answer is not what the application sends, such as a login page, or does not match the schema. */
export class UnexpectedAnswerError extends IdempotencyError {
  override name = "UnexpectedAnswerError";
  declare readonly code: "unexpected_answer";
  /** The findings of the schema; `undefined` if the operation has none or the answer was not checked. */
  declare readonly issues: readonly AnswerIssue[] | undefined;
  constructor(
    message: string,
    details?: ErrorDetails & { readonly issues?: readonly AnswerIssue[] | undefined },
  ) {
    super(message, "unexpected_answer", details);
    this.issues = details?.issues;
  }
}

/** The client's own: the body of the request was not kept, so that sending it again needs the input. Its key was. */
export class InputRequiredError extends IdempotencyError {
  override name = "InputRequiredError";
  declare readonly code: "input_required";
  constructor(message: string, details?: ErrorDetails) {
    super(message, "input_required", details);
  }
}

/**
 * The client's own: what was sent did not happen, because an earlier request under the same key exists at the server. Resume that
 * one.
 */
export class EarlierOperationExistsError extends IdempotencyError {
  override name = "EarlierOperationExistsError";
  declare readonly code: "earlier_operation_exists";
  /** The earlier operation's response, where the server replayed it. */
  declare readonly original: OriginalResponse | undefined;
  constructor(
    message: string,
    details?: ErrorDetails & { readonly original?: OriginalResponse | undefined },
  ) {
    super(message, "earlier_operation_exists", details);
    this.original = details?.original;
  }
}

/** The class that belongs to each code. */
export interface ErrorByCode {
  idempotency_key_required: KeyRequiredError;
  idempotency_key_invalid: KeyInvalidError;
  idempotency_not_found: KeyNotFoundError;
  idempotency_in_flight: KeyInFlightError;
  idempotency_conflict: KeyConflictError;
  idempotency_key_expired: KeyExpiredError;
  idempotency_outcome_unknown: KeyOutcomeUnknownError;
  idempotency_response_not_stored: ResponseNotStoredError;
  idempotency_unavailable: StoreUnavailableError;
  outcome_unknown: OutcomeUnknownError;
  unexpected_answer: UnexpectedAnswerError;
  input_required: InputRequiredError;
  earlier_operation_exists: EarlierOperationExistsError;
}

/**
 * Whether a value is an Oncekey error, from this copy of the package or another; with `code`, whether it is that one.
 *
 * @example
 * if (isIdempotencyError(error, "idempotency_in_flight")) showStillChecking(error.retryAfterMs)
 */
export function isIdempotencyError(value: unknown): value is IdempotencyError;
export function isIdempotencyError<Code extends ErrorCode>(
  value: unknown,
  code: Code,
): value is ErrorByCode[Code];
export function isIdempotencyError(value: unknown, code?: ErrorCode): boolean {
  if (typeof value !== "object" || value === null || !(BRAND in value)) return false;
  return code === undefined || ("code" in value && value.code === code);
}

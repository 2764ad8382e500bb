/** The refusals of the contract as errors: one base with a code, and a class of its own for each that adds a field. */
import { kindOf } from "./problem-code.ts";
import type { CodeKind, NextAction, ProblemCode } from "./problem-code.ts";

// Registered symbols are one per process, so two copies of this package recognise each other's errors.
const BRAND: unique symbol = Symbol.for("oncekey.error");

/** The codes of the client, which no server sends. */
export type ClientCode =
  /** The client does not know how its operation ended. */
  | "outcome_unknown"
  /** The answer is not what the application sends. */
  | "unexpected_answer"
  /** The body of the request was not stored, so the client cannot send it again. */
  | "input_required"
  /** The server knows another request under the key. */
  | "earlier_operation_exists";

/** Every code that an {@link IdempotencyError} can carry. Errors of the application carry none. */
export type ErrorCode = ProblemCode | ClientCode;

const CLIENT_KINDS: Readonly<Record<ClientCode, Partial<CodeKind>>> = {
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
  /** The shortest wait before the next attempt, in ms, from `Retry-After`. */
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/**
 * Base class of every Oncekey error. `code` is undefined for an error of the application itself (a
 * declined card), which the client reports with its `status` and its body in `problem`.
 *
 * Distinguish errors by `code`, or with {@link isIdempotencyError}: `instanceof` fails if two
 * copies of the package are loaded.
 */
export class IdempotencyError<
  Code extends ErrorCode | undefined = ErrorCode | undefined,
> extends Error {
  override name = "IdempotencyError";
  declare readonly code: Code;
  declare readonly status: number | undefined;
  /** Whether the same request with the same key may succeed later. */
  declare readonly retryable: boolean;
  declare readonly key: string | undefined;
  declare readonly nextAction: NextAction;
  declare readonly problem: unknown;
  /** Milliseconds, at least 0; undefined where the server named no time. */
  declare readonly retryAfterMs: number | undefined;

  constructor(message: string, code: Code, details: ErrorDetails = {}) {
    // The platform's `Error` takes the cause from the details.
    super(message, details);
    const kind = kindOf(code) ?? CLIENT_KINDS[code as ClientCode];
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

/** The first operation's response, as a {@link KeyConflictError} hands it on. */
export interface OriginalResponse {
  readonly status: number;
  /** The parsed body, or the text if it is not JSON. */
  readonly body: unknown;
  /** `false`: the server remembers the status alone. */
  readonly stored?: false;
}

/** 422, or a replay marked as a mismatch: the key was used for another request. */
export class KeyConflictError extends IdempotencyError<"idempotency_conflict"> {
  override name = "KeyConflictError";
  /** The first operation's response, if the server replayed it. */
  declare readonly original: OriginalResponse | undefined;
  constructor(
    message: string,
    details?: ErrorDetails & { readonly original?: OriginalResponse | undefined },
  ) {
    super(message, "idempotency_conflict", details);
    this.original = details?.original;
  }
}

/** 410: the request was done, with `originalStatus`, but its response is not stored, or no longer. */
export class ResponseNotStoredError extends IdempotencyError<"idempotency_response_not_stored"> {
  override name = "ResponseNotStoredError";
  /** The status that the handler answered with. */
  declare readonly originalStatus: number | undefined;
  /** `rotate` only after a refusal: under a new key, what happened would happen again. */
  declare readonly nextAction: "rotate" | "fix";
  constructor(
    message: string,
    details?: ErrorDetails & { readonly originalStatus?: number | undefined },
  ) {
    super(message, "idempotency_response_not_stored", details);
    const { originalStatus } = details ?? {};
    this.originalStatus = originalStatus;
    if (originalStatus !== undefined && originalStatus >= 400) this.nextAction = "rotate";
  }
}

/** One thing that a schema found wrong (Standard Schema, `Issue`). */
export interface AnswerIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** The client's own: the answer is not what the application sends, such as a login page, or does not match the schema. */
export class UnexpectedAnswerError extends IdempotencyError<"unexpected_answer"> {
  override name = "UnexpectedAnswerError";
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

/**
 * The client's own: what was sent did not happen, because an earlier request under the same key exists at the server. Resume that
 * one.
 */
export class EarlierOperationExistsError extends IdempotencyError<"earlier_operation_exists"> {
  override name = "EarlierOperationExistsError";
  /** The earlier operation's response, if the server replayed it. */
  declare readonly original: OriginalResponse | undefined;
  constructor(
    message: string,
    details?: ErrorDetails & { readonly original?: OriginalResponse | undefined },
  ) {
    super(message, "earlier_operation_exists", details);
    this.original = details?.original;
  }
}

interface OwnClasses {
  idempotency_conflict: KeyConflictError;
  idempotency_response_not_stored: ResponseNotStoredError;
  unexpected_answer: UnexpectedAnswerError;
  earlier_operation_exists: EarlierOperationExistsError;
}

/** The type of the error of each code. */
export type ErrorByCode = {
  [Code in ErrorCode]: Code extends keyof OwnClasses ? OwnClasses[Code] : IdempotencyError<Code>;
};

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

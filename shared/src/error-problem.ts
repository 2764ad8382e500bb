/** Converts errors to problem documents and back. */
import {
  EarlierOperationExistsError,
  IdempotencyError,
  KeyConflictError,
  ResponseNotStoredError,
  UnexpectedAnswerError,
} from "./errors.ts";
import type { AnswerIssue, ErrorCode, ErrorDetails, OriginalResponse } from "./errors.ts";
import { createProblem } from "./problem.ts";
import { isProblemCode } from "./problem-code.ts";
import type { Problem } from "./problem.ts";

/** {@link ErrorDetails}, and what single classes carry besides. */
export interface AllErrorDetails extends ErrorDetails {
  readonly original?: OriginalResponse | undefined;
  readonly originalStatus?: number | undefined;
  readonly issues?: readonly AnswerIssue[] | undefined;
}

/** Makes the error of a code; of none for an error of the application. */
export type ErrorMaker = (
  message: string,
  code: ErrorCode | undefined,
  details: AllErrorDetails,
) => IdempotencyError;

const CLASSES = {
  idempotency_conflict: KeyConflictError,
  idempotency_response_not_stored: ResponseNotStoredError,
  unexpected_answer: UnexpectedAnswerError,
  earlier_operation_exists: EarlierOperationExistsError,
};

/** Makes the error of a code, in its own class if it has one. */
export const createError: ErrorMaker = (message, code, details) => {
  const Own = code && (CLASSES as Partial<Record<ErrorCode, ErrorClass>>)[code];
  return Own ? new Own(message, details) : new IdempotencyError(message, code, details);
};

type ErrorClass = new (message: string, details: AllErrorDetails) => IdempotencyError;

/** Makes the error of a problem. */
export function problemToError(
  problem: Problem,
  details: Omit<ErrorDetails, "problem" | "status"> = {},
): IdempotencyError {
  const { code, detail, status, originalStatus } = problem;
  const own = originalStatus === undefined ? {} : { originalStatus };
  return createError(detail, code, { ...details, ...own, status, problem });
}

/**
 * Converts an error to a problem, for a server that answers with it. Returns `undefined` for the
 * client's own errors and for errors without a code.
 *
 * @param baseUri prefix of `type`, default `urn:oncekey:problem:`.
 */
export function errorToProblem(error: IdempotencyError, baseUri?: string): Problem | undefined {
  const { code } = error;
  if (!isProblemCode(code)) return undefined;
  const originalStatus =
    "originalStatus" in error && typeof error.originalStatus === "number"
      ? error.originalStatus
      : undefined;
  return createProblem(code, { detail: error.message, baseUri, originalStatus });
}

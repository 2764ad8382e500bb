/** Both directions between error and problem. */
import {
  EarlierOperationExistsError,
  IdempotencyError,
  InputRequiredError,
  KeyConflictError,
  KeyExpiredError,
  KeyInFlightError,
  KeyInvalidError,
  KeyNotFoundError,
  KeyOutcomeUnknownError,
  KeyRequiredError,
  OutcomeUnknownError,
  ResponseNotStoredError,
  StoreUnavailableError,
  UnexpectedAnswerError,
} from "./errors.ts";
import type {
  AnswerIssue,
  ErrorByCode,
  ErrorCode,
  ErrorDetails,
  OriginalResponse,
} from "./errors.ts";
import { createProblem, isProblemCode } from "./problem.ts";
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

const CLASSES: {
  readonly [Code in ErrorCode]: new (
    message: string,
    details: AllErrorDetails,
  ) => ErrorByCode[Code];
} = {
  idempotency_key_required: KeyRequiredError,
  idempotency_key_invalid: KeyInvalidError,
  idempotency_not_found: KeyNotFoundError,
  idempotency_in_flight: KeyInFlightError,
  idempotency_conflict: KeyConflictError,
  idempotency_key_expired: KeyExpiredError,
  idempotency_outcome_unknown: KeyOutcomeUnknownError,
  idempotency_response_not_stored: ResponseNotStoredError,
  idempotency_unavailable: StoreUnavailableError,
  outcome_unknown: OutcomeUnknownError,
  unexpected_answer: UnexpectedAnswerError,
  input_required: InputRequiredError,
  earlier_operation_exists: EarlierOperationExistsError,
};

/** The error of a code, in the class that belongs to it: the base where there is none, such as for a code of a later version. */
export const createError: ErrorMaker = (message, code, details) => {
  const Own = code && (CLASSES as Partial<typeof CLASSES>)[code];
  return Own ? new Own(message, details) : new IdempotencyError(message, code, details);
};

/** From problem to error: the class that belongs to the problem's code. */
export function problemToError(
  problem: Problem,
  details: Omit<ErrorDetails, "problem" | "status"> = {},
): IdempotencyError {
  const { code, detail, status, originalStatus } = problem;
  const own = originalStatus === undefined ? {} : { originalStatus };
  return createError(detail, code, { ...details, ...own, status, problem });
}

/**
 * From error to problem, for a server that answers with it. The client's own errors and those without a code have no
 * problem document: `undefined`.
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

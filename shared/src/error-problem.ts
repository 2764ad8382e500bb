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
} from "./errors.ts";
import type { ErrorCode, ErrorDetails, OriginalResponse } from "./errors.ts";
import { createProblem, isProblemCode } from "./problem.ts";
import type { Problem } from "./problem.ts";

/** {@link ErrorDetails}, and what single classes carry besides. */
export interface AllErrorDetails extends ErrorDetails {
  readonly original?: OriginalResponse;
  readonly originalStatus?: number | undefined;
}

/** Makes the error of a code; of none for an error of the application. */
export type ErrorMaker = (
  message: string,
  code: ErrorCode | undefined,
  details: AllErrorDetails,
) => IdempotencyError;

/** The error of a code, in the class that belongs to it. */
export function createError(
  message: string,
  code: ErrorCode | undefined,
  details: AllErrorDetails,
): IdempotencyError {
  switch (code) {
    case undefined:
      return new IdempotencyError(message, code, details);
    case "idempotency_key_required":
      return new KeyRequiredError(message, details);
    case "idempotency_key_invalid":
      return new KeyInvalidError(message, details);
    case "idempotency_not_found":
      return new KeyNotFoundError(message, details);
    case "idempotency_in_flight":
      return new KeyInFlightError(message, details);
    case "idempotency_conflict":
      return new KeyConflictError(message, details);
    case "idempotency_key_expired":
      return new KeyExpiredError(message, details);
    case "idempotency_outcome_unknown":
      return new KeyOutcomeUnknownError(message, details);
    case "idempotency_response_not_stored":
      return new ResponseNotStoredError(message, details);
    case "idempotency_unavailable":
      return new StoreUnavailableError(message, details);
    case "outcome_unknown":
      return new OutcomeUnknownError(message, details);
    case "input_required":
      return new InputRequiredError(message, details);
    case "earlier_operation_exists":
      return new EarlierOperationExistsError(message, details);
    default:
      return code satisfies never;
  }
}

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

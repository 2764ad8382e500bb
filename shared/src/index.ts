export {
  EXPOSED_HEADERS,
  IDEMPOTENCY_KEY,
  IDEMPOTENCY_KEY_LIFETIME,
  IDEMPOTENCY_MISMATCH,
  IDEMPOTENCY_ONLY_IF_STORED,
  IDEMPOTENT_REPLAYED,
  KEY_RULE,
  MAX_KEY_LENGTH,
  formatKey,
  isKey,
  parseKey,
  readKey,
} from "./header.ts";
export type { KeyFormat, ParsedKey } from "./header.ts";
export {
  PROBLEMS,
  PROBLEM_BASE_URI,
  PROBLEM_CONTENT_TYPE,
  createProblem,
  parseProblem,
} from "./problem.ts";
export type { Problem, ProblemDetails, ProblemKind } from "./problem.ts";
export { isProblemCode } from "./problem-code.ts";
export type { CodeKind, NextAction, ProblemCode } from "./problem-code.ts";
export {
  EarlierOperationExistsError,
  IdempotencyError,
  KeyConflictError,
  ResponseNotStoredError,
  UnexpectedAnswerError,
  isIdempotencyError,
} from "./errors.ts";
export type {
  AnswerIssue,
  ClientCode,
  ErrorByCode,
  ErrorCode,
  ErrorDetails,
  OriginalResponse,
} from "./errors.ts";
export { createError, errorToProblem, problemToError } from "./error-problem.ts";
export type { AllErrorDetails, ErrorMaker } from "./error-problem.ts";

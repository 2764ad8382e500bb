export { createClient } from "./client.ts";
export { asyncStorage } from "./storage/async.ts";
export { indexedDbStorage } from "./storage/indexed-db.ts";
export { memoryStorage } from "./storage/memory.ts";
export { webStorage } from "./storage/web.ts";
export {
  EarlierOperationExistsError,
  IdempotencyError,
  KeyConflictError,
  ResponseNotStoredError,
  UnexpectedAnswerError,
  isIdempotencyError,
} from "@oncekey/shared";
export type { AnswerIssue } from "@oncekey/shared";
export type { BackoffOptions } from "./options/backoff.ts";
export type { RequestBody } from "./wire/body.ts";
export type { Client, ForgetAllOptions } from "./client.ts";
export type {
  DefineOperation,
  Operation,
  OperationOptions,
  Run,
  SettledOptions,
} from "./operation/define.ts";
export type { AttemptEvent, EventCallbacks, WaitEvent } from "./options/events.ts";
export type { KeyOption } from "./options/key.ts";
export type {
  ClientOptions,
  LifeOptions,
  LooseKyOptions,
  Unauthorized,
  UnauthorizedHook,
} from "./options/client-options.ts";
export type { PlainCall, PlainCallOptions, ResponsePromise } from "./call.ts";
export type { ResumeAllOptions } from "./operation/pending.ts";
export type { SettledCallback, SettledOperation } from "./operation/settlements.ts";
export type { WebStorageOptions } from "./storage/web.ts";
export type { OperationState, OperationStore } from "./operation/state.ts";
export type { RequestMethod, RequestSpec } from "./wire/request.ts";
export type {
  ApplicationError,
  CodedError,
  Done,
  PendingOperation,
  Rejected,
  RunOptions,
  RunResult,
  Settled,
  Unknown,
} from "./operation/result.ts";
export type { IndexedDbStorageOptions } from "./storage/indexed-db.ts";
export type { RetryOptions } from "./options/retry-options.ts";
export type { OperationStorage, StoredBody } from "./storage/storage.ts";
export type { Warning, WarningCode } from "./options/warnings.ts";
export type { ResponseSchema } from "./validation/schema.ts";

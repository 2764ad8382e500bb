export { EXPOSED_HEADERS } from "@oncekey/shared";
export { idempotency } from "./plugin.ts";
export { openapiTransform } from "./openapi.ts";
export { migrate } from "./store/migrate.ts";
export { STORED_HEADERS } from "./stored-headers.ts";
export type { IdempotencyAdministration } from "./administration.ts";
export type { CrashContext, CrashDecision, CrashResponse, OnCrash } from "./on-crash.ts";
export type { EncryptionKey, EncryptionOptions } from "./encryption-keys.ts";
export type { RequestIdempotency } from "./exchange.ts";
export type { FingerprintOption } from "./fingerprint.ts";
export type { DescribedRoute } from "./openapi.ts";
export type {
  IdempotencyOptions,
  LeaseOptions,
  PoolOption,
  RouteIdempotencyOptions,
  Strategy,
} from "./options.ts";
export type { ReplayCacheOptions } from "./replay-cache.ts";
export type { ScopeOption } from "./scope.ts";
export type { Step } from "./steps.ts";
export type { RecordAddress, RecordState, TableRecord, TableStats } from "./store/admin.ts";
export type { MigrateOptions } from "./store/migrate.ts";
export type { SweepOptions } from "./sweeper.ts";
export type {
  BeginEvent,
  BeginOutcomeName,
  CompleteEvent,
  HeartbeatEvent,
  KeyDigest,
  LeaseLostEvent,
  RouteLabels,
  SweepEvent,
  TelemetryEvents,
} from "./telemetry.ts";

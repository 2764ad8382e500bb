export { EXPOSED_HEADERS } from "@oncekey/shared";
export { transactional } from "./context/transactional.ts";
export { idempotency } from "./plugin.ts";
export { openapiTransform } from "./openapi.ts";
export { migrate } from "./store/sql/migrate.ts";
export { keyDigest } from "./telemetry/key-digest.ts";
export { STORED_HEADERS } from "./options/stored-headers.ts";
export type { IdempotencyAdministration } from "./admin-api.ts";
export type { CrashContext, CrashDecision, CrashResponse, OnCrash } from "./options/on-crash.ts";
export type { EncryptionKey, EncryptionOptions } from "./layers/encryption/keys.ts";
export type { RequestIdempotency, RollbackOptions } from "./context/handler-api.ts";
export type { FingerprintOption } from "./ticket/fingerprint.ts";
export type { DescribedRoute } from "./openapi.ts";
export type {
  IdempotencyOptions,
  KeyOption,
  LeaseOptions,
  PoolOption,
  RouteIdempotencyOptions,
  Strategy,
} from "./options/options.ts";
export type { ReplayCacheOptions } from "./layers/replay-cache.ts";
export type { ScopeOption } from "./ticket/scope.ts";
export type { AsJson, Step } from "./context/steps.ts";
export type { CommitWrites } from "./store/store.ts";
export type {
  RecordAddress,
  RecordState,
  TableRecord,
  TableStats,
} from "./store/maintenance/records.ts";
export type { TableHealth } from "./store/maintenance/health.ts";
export type { MigrateOptions } from "./store/sql/migrate.ts";
export type { SweepOptions } from "./store/maintenance/sweeper.ts";
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
} from "./telemetry/events.ts";

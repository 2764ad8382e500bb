export { EXPOSED_HEADERS } from "@oncekey/shared";
export { transactional } from "./context/transactional.ts";
export { idempotency } from "./plugin.ts";
export { openapiTransform } from "./openapi.ts";
export { migrate } from "./store/sql/migrate.ts";
export { keyDigest } from "./telemetry/key-digest.ts";
export { STORED_HEADERS } from "./options/stored-headers.ts";
export { DecisionRefusedError } from "./admin-api.ts";
export type { IdempotencyAdministration, InPool, OneAddress } from "./admin-api.ts";
export type { LeaseOptions, RecoverOptions } from "./options/lease-options.ts";
export type { CrashContext, CrashDecision, CrashResponse, OnCrash } from "./options/on-crash.ts";
export type { EncryptionKey, EncryptionOptions } from "./store/encryption/keys.ts";
export type { RequestIdempotency, RollbackOptions } from "./context/handler-api.ts";
export type { FingerprintOption } from "./ticket/fingerprint.ts";
export type { DescribedRoute } from "./openapi.ts";
export type {
  IdempotencyOptions,
  KeyOption,
  PoolOption,
  RouteIdempotencyOptions,
  Strategy,
} from "./options/options.ts";
export type { ReplayCacheOptions } from "./layers/replay-cache.ts";
export type { ScopeOption } from "./ticket/scope.ts";
export type { AsJson, Step } from "./context/steps.ts";
export type { CommitWrites } from "./store/store.ts";
export type { TableStats } from "./store/maintenance/records.ts";
export type { RecordState } from "./store/maintenance/record-state.ts";
export type { RecordAddress, TableRecord } from "./store/maintenance/table-record.ts";
export type { ListQuery, RecordPage } from "./store/maintenance/list.ts";
export type {
  Decision,
  DecisionPage,
  DecisionQuery,
  DecisionReason,
  ForgottenScope,
} from "./store/maintenance/decisions.ts";
export type { Recovered } from "./recover.ts";
export type { SweptRows } from "./store/maintenance/sweeper.ts";
export type { TableHealth } from "./store/maintenance/health.ts";
export type { MigrateOptions } from "./store/sql/migrate.ts";
export type { SweepOptions } from "./store/maintenance/sweeper.ts";
export type {
  BeginEvent,
  BeginOutcomeName,
  CompleteEvent,
  CrashedEvent,
  ForgottenEvent,
  HeartbeatEvent,
  KeyDigest,
  LeaseLostEvent,
  ResolvedEvent,
  RouteLabels,
  SweepEvent,
  TelemetryEvents,
} from "./telemetry/events.ts";

export { idempotency } from "./plugin.ts";
export { migrate } from "./store/migrate.ts";
export { STORED_HEADERS } from "./stored-headers.ts";
export type { RequestIdempotency } from "./exchange.ts";
export type { FingerprintOption } from "./fingerprint.ts";
export type { IdempotencyOptions, RouteIdempotencyOptions } from "./options.ts";
export type { ScopeOption } from "./scope.ts";
export type { MigrateOptions } from "./store/migrate.ts";

export { CRASH_POINTS } from "./testing/crash-points.ts";
export { testCrashes } from "./testing/test-crashes.ts";
export type { CrashPoint } from "./testing/crash-points.ts";
export type { TestedRequest } from "./testing/send.ts";
export type { CrashTestOptions } from "./testing/options.ts";
export type { ServerCommand } from "./testing/server-process.ts";
export type { CrashedRequest } from "./testing/test-crashes.ts";
export type { EffectCounters, QueryablePool } from "./testing/effects.ts";

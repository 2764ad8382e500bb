/** The runs that catch planted bugs: short, and aimed. */
import type { Plan } from "../one-run/settings.ts";
import { MIX } from "../load/operation.ts";
import type { Mix } from "../load/operation.ts";
import {
  FENCED_ROUTES,
  KEYLESS_ROUTE,
  LEASE_MS,
  ROUTES,
  SHORT_ROUTES,
} from "../protocol/routes.ts";
import type { HuntName } from "./mutant.ts";

const NO_STRIKES = { kill: 0, pause: 0, terminate: 0, crash: 0 };
const NO_DISTURBANCES = {
  commitFaults: 0,
  poolerRestarts: 0,
  poolsTaken: 0,
  databasesFilled: 0,
  poolsEnded: 0,
  tablesWrapped: 0,
};
const LIMIT_MS = 120_000;

const CALM_MIX: Mix = { ...MIX, others: 0, mismatches: 0, queries: 0, strangers: 0, failures: 0 };

const CALM: Plan = {
  share: 1,
  seed: 1,
  operations: 250,
  clients: 24,
  mix: CALM_MIX,
  strikes: NO_STRIKES,
  disturbances: NO_DISTURBANCES,
  wireFaults: 0,
  limitMs: LIMIT_MS,
  servers: ["A", "B"],
};

const leases = ROUTES.filter(({ policy }) => policy.strategy === "lease");
const shortLeases = SHORT_ROUTES.filter(({ policy }) => policy.strategy === "lease");
const mayRunAgain = ROUTES.filter(({ policy }) => policy.onCrash === "rerun");
const mayFail = ROUTES.filter(({ policy }) => policy.onCrash === "fail");
const strictRows = ROUTES.filter(
  ({ policy }) => policy.strategy === "row" && policy.mismatch === "reject",
);
const oneCommit = ROUTES.filter(({ policy }) => policy.strategy !== "lease");

/** More than a lease, less than a lease and the handler that takes it over. */
const ZOMBIE_MS = 3_000;
const LONG_WORK_MS = 3_500;
const SLOW_WORK_MS = 6_000;
const BUSY_WORK_MS = 1_500;
/** For hunts whose keys are all answered, unless the bug has them stay open. */
const SETTLE_MS = 15_000;
/** A third of a lease, when its first beat leaves, less what claiming takes. */
const BEAT_MS = LEASE_MS / 3 - 8;

const BUSY_MIX: Mix = { ...CALM_MIX, routes: oneCommit, workMs: BUSY_WORK_MS, duplicates: 0 };

// A quick hunt strikes nothing. With all slots gone, or a key in flight for ever, keys are asked for until the time is up.
const NOT_QUICK = NO_DISTURBANCES;

const HUNTS: Readonly<Record<HuntName, Partial<Plan>>> = {
  race: { settleMs: SETTLE_MS, mix: { ...CALM_MIX, routes: oneCommit, duplicates: 1 } },
  strangers: { mix: { ...CALM_MIX, strangers: 1 } },
  mismatch: { mix: { ...CALM_MIX, mismatches: 0.25, queries: 0.25 } },
  hangUps: {
    operations: 120,
    limitMs: 60_000,
    mix: { ...CALM_MIX, routes: oneCommit, failures: 1, failing: ["hang"] },
    disturbances: NOT_QUICK,
  },
  abandoned: {
    operations: 60,
    settleMs: 2 * SETTLE_MS,
    abandoned: 40,
    mix: { ...CALM_MIX, routes: leases },
  },
  expiry: {
    operations: 60,
    disturbances: NOT_QUICK,
    // Each of them is repeated around its expiry, for four seconds.
    mix: { ...CALM_MIX, others: 1, routes: [...SHORT_ROUTES, ...FENCED_ROUTES], duplicates: 0 },
  },
  // Old days have keys that are repeated between the end of their response and that of their fence.
  days: {
    partitioned: true,
    operations: 72,
    clients: 48,
    settleMs: SETTLE_MS,
    mix: { ...CALM_MIX, routes: [...ROUTES, ...FENCED_ROUTES, ...FENCED_ROUTES], duplicates: 0 },
  },
  // Handlers without a connection keep no lock: one old day after the other goes while they work.
  goingDays: {
    partitioned: true,
    operations: 300,
    settleMs: SETTLE_MS,
    mix: {
      ...CALM_MIX,
      routes: [...leases, ...shortLeases],
      aroundExpiry: 0,
      duplicates: 0,
      workMs: 400,
    },
  },
  few: {
    operations: 48,
    settleMs: SETTLE_MS,
    mix: { ...CALM_MIX, routes: oneCommit, failures: 1, failing: ["break"] },
  },
  // More handlers than the pool has connections: some wait for longer than it allows.
  crowd: {
    operations: 200,
    clients: 96,
    limitMs: 60_000,
    servers: ["A"],
    settleMs: SETTLE_MS,
    disturbances: NOT_QUICK,
    mix: { ...BUSY_MIX, scopeCount: 48 },
  },
  // More handlers than one scope may have.
  shares: {
    operations: 100,
    clients: 48,
    limitMs: 60_000,
    servers: ["A"],
    settleMs: SETTLE_MS,
    disturbances: NOT_QUICK,
    mix: { ...BUSY_MIX, scopeCount: 2 },
  },
  // One server, which finds no connection for a second: no other answers for a key that stays in flight there.
  lone: {
    operations: 150,
    settleMs: SETTLE_MS,
    servers: ["A"],
    disturbances: { ...NO_DISTURBANCES, databasesFilled: 2 },
    mix: { ...CALM_MIX, routes: oneCommit, duplicates: 0 },
  },
  // Handlers end while a beat is under way.
  beats: { disturbances: NOT_QUICK, mix: { ...CALM_MIX, routes: leases, workMs: BEAT_MS } },
  // Longer than a client waits for an answer, and then a server for the first request.
  slowLeases: {
    operations: 48,
    disturbances: NOT_QUICK,
    mix: {
      ...CALM_MIX,
      routes: leases,
      workMs: SLOW_WORK_MS,
      duplicates: 0,
      clients: ["oncekey"],
    },
  },
  steps: { mix: { ...CALM_MIX, routes: mayFail, failures: 1, failing: ["busy"] } },
  masks: { mix: { ...CALM_MIX, failures: 0.5, failing: ["mask"] } },
  refusals: { mix: { ...CALM_MIX, failures: 0.5 } },
  leftRows: {
    operations: 900,
    mix: {
      ...CALM_MIX,
      routes: strictRows,
      mismatches: 0.5,
      queries: 0.5,
      failures: 1,
      duplicates: 1,
      workMs: 300,
      // In 600 operations these clients show it at one to four keys; shorter work and the usual
      // clients showed it at one, or at none.
      clients: ["plain"],
    },
  },
  keyless: { mix: { ...CALM_MIX, routes: [KEYLESS_ROUTE], duplicates: 0, failures: 0.5 } },
  lease: { mix: { ...CALM_MIX, routes: leases } },
  zombie: {
    operations: 100,
    mix: { ...CALM_MIX, routes: mayRunAgain, workMs: LONG_WORK_MS },
    strikes: { ...NO_STRIKES, pause: 6 },
    only: { strategy: "lease", boundary: "S5" },
    // Two may stand at once: the third takes their leases over.
    servers: ["A", "B", "D"],
    pauseMs: ZOMBIE_MS,
  },
  commit: {
    mix: { ...CALM_MIX, routes: oneCommit },
    disturbances: { ...NO_DISTURBANCES, commitFaults: 10 },
    wireFaults: 0.05,
    servers: ["A", "C"],
  },
  terminate: {
    strikes: { ...NO_STRIKES, terminate: 4 },
    only: { strategy: "advisory", boundary: "S3" },
    mix: { ...CALM_MIX, routes: oneCommit },
  },
};

export function planHunt(name: HuntName): Plan {
  return { ...CALM, ...HUNTS[name] };
}

/** Whether it strikes nothing: it takes seconds. */
export function isQuick(name: HuntName): boolean {
  const { strikes, disturbances } = HUNTS[name];
  return strikes === undefined && disturbances === undefined;
}

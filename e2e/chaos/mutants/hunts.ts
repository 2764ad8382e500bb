/** The runs that catch planted bugs: short, and aimed. */
import type { Plan } from "../settings.ts";
import { MIX } from "../settings.ts";
import type { Mix } from "../load/operation.ts";
import { KEYLESS_ROUTE, ROUTES } from "../rig/routes.ts";
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
const mayRunAgain = ROUTES.filter(({ policy }) => policy.onCrash === "rerun");
const mayFail = ROUTES.filter(({ policy }) => policy.onCrash === "fail");
const strictRows = ROUTES.filter(
  ({ policy }) => policy.strategy === "row" && policy.mismatch === "reject",
);
const oneCommit = ROUTES.filter(({ policy }) => policy.strategy !== "lease");

/** More than a lease, less than a lease and the handler that takes it over. */
const ZOMBIE_MS = 3_000;
const LONG_WORK_MS = 3_500;

const HUNTS: Readonly<Record<HuntName, Partial<Plan>>> = {
  race: { mix: { ...CALM_MIX, routes: oneCommit, duplicates: 1 } },
  strangers: { mix: { ...CALM_MIX, strangers: 1 } },
  mismatch: { mix: { ...CALM_MIX, mismatches: 0.25, queries: 0.25 } },
  hangUps: {
    operations: 120,
    limitMs: 60_000,
    mix: { ...CALM_MIX, routes: oneCommit, failures: 1, failing: ["hang"] },
    // Not a quick one: with all slots gone, keys are asked for until the time is up.
    disturbances: NO_DISTURBANCES,
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
    strikes: { ...NO_STRIKES, pause: 3 },
    only: { strategy: "lease", boundary: "S5" },
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

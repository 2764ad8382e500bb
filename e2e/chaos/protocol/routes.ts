/** The routes of the rig's shop, and what is promised for each. */
import type { Policy } from "../checker/case.ts";

export interface Route {
  readonly path: string;
  readonly policy: Policy;
}

const STRATEGIES = ["advisory", "unique", "row", "lease"] as const;
const MISMATCHES = ["replay", "reject"] as const;
const DAY_MS = 86_400_000;

/**
 * Duration of a claim of strategy lease: a stopped server has to lose it within a test's patience.
 */
export const LEASE_MS = 2_000;
/** Time a transaction may be idle before Postgres ends it: short for the same reason. */
export const IDLE_MS = 5_000;
/** Timeout of handlers, and of reply streams without a caller: less than a client's patience. */
export const MAX_HANDLER_MS = 2_000;
/** Retention of the routes below `/short` and `/fenced`. */
export const SHORT_MS = 2_000;
/** Fence of the routes below `/fenced`: longer than the repeats around the end of the retention. */
const FENCE_MS = 10_000;

/** Every strategy with either policy, and the strategy lease with either declaration of what a crash means. */
export const ROUTES: readonly Route[] = STRATEGIES.flatMap((strategy) =>
  MISMATCHES.flatMap((mismatch): Route[] => {
    const policy = { strategy, mismatch, retentionMs: DAY_MS };
    if (strategy !== "lease") return [{ path: `/${strategy}/${mismatch}`, policy }];
    return (["fail", "rerun"] as const).map((onCrash) => ({
      path: `/lease-${onCrash}/${mismatch}`,
      policy: { ...policy, onCrash, leaseMs: LEASE_MS },
    }));
  }),
);

/** Records that expire while the rig looks on. */
export const SHORT_ROUTES: readonly Route[] = STRATEGIES.map((strategy) => ({
  path: `/short/${strategy}`,
  policy: {
    strategy,
    mismatch: "replay",
    retentionMs: SHORT_MS,
    ...(strategy === "lease" ? { onCrash: "fail" as const, leaseMs: LEASE_MS } : {}),
  },
}));

/** Responses that expire before their keys: a repeat in between gets 410. */
export const FENCED_ROUTES: readonly Route[] = SHORT_ROUTES.map(({ path, policy }) => ({
  path: path.replace("/short", "/fenced"),
  policy: { ...policy, fenceMs: FENCE_MS },
}));

const ABANDONED: Policy = {
  strategy: "lease",
  mismatch: "replay",
  retentionMs: DAY_MS,
  leaseMs: LEASE_MS,
};

/** The key of a route without a decision ends with its fence: the sweep deletes it. */
export const UNDECIDED_ROUTE: Route = {
  path: "/abandoned/undecided",
  policy: { ...ABANDONED, onCrash: "rerun", retentionMs: SHORT_MS, fenceMs: 2 * SHORT_MS },
};

/** An operator decides about its crashed leases: crash recovery leaves them as they are. */
export const OPERATED_ROUTE: Route = {
  path: "/abandoned/rerun",
  policy: { ...ABANDONED, onCrash: "rerun" },
};

/** Leases whose clients never come back. */
export const ABANDONED_ROUTES: readonly Route[] = [
  { path: "/abandoned/fail", policy: { ...ABANDONED, onCrash: "fail" } },
  { path: "/abandoned/ask", policy: { ...ABANDONED, onCrash: "ask" } },
  OPERATED_ROUTE,
  UNDECIDED_ROUTE,
];

export const KEYLESS_ROUTE: Route = {
  path: "/keyless",
  policy: { strategy: "advisory", mismatch: "replay", retentionMs: DAY_MS, isKeyless: true },
};

/** Its pool is ended and replaced again and again. */
export const TURNING_ROUTE: Route = {
  path: "/turning",
  policy: { strategy: "advisory", mismatch: "replay", retentionMs: DAY_MS },
};

export const ALL_ROUTES: readonly Route[] = [
  ...ROUTES,
  ...SHORT_ROUTES,
  ...FENCED_ROUTES,
  ...ABANDONED_ROUTES,
  KEYLESS_ROUTE,
  TURNING_ROUTE,
];

/**
 * Returns what is promised for a target. In whatever spelling: a planted bug may store one as it was sent.
 *
 * @throws Error for a target that no route has.
 */
export function policyOf(target: string): Policy {
  const route = ALL_ROUTES.find(({ path }) => decodeURI(target) === `POST ${path}`);
  if (route === undefined) throw new Error(`no route has the target ${target}`);
  return route.policy;
}

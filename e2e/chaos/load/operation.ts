/** Operations of the clients of a run, drawn from its seed. */
import type { Deed } from "../protocol/order.ts";
import type { Random } from "../protocol/random.ts";
import {
  FENCED_ROUTES,
  KEYLESS_ROUTE,
  ROUTES,
  SHORT_MS,
  SHORT_ROUTES,
  TURNING_ROUTE,
} from "../protocol/routes.ts";
import type { Route } from "../protocol/routes.ts";
import { drawUuid } from "../protocol/days.ts";
import type { DrawKey } from "../protocol/days.ts";

/** `plain`: a hand-written loop, from which duplicates and requests without a key come too. */
export type ClientKind = "oncekey" | "fetch" | "undici" | "plain";

/** One operation that must happen once, and its other senders. */
export interface Operation {
  readonly id: string;
  readonly route: Route;
  readonly scope: string;
  readonly key: string;
  readonly client: ClientKind;
  readonly deed: Deed;
  readonly amount: number;
  readonly workMs: number;
  /** Copies of the request that others send under the same key, each so many milliseconds after the first. */
  readonly duplicatesAfterMs: readonly number[];
  /** Another request under the same key: with another body, or with another query. */
  readonly mismatch: { readonly part: "body" | "query"; readonly afterMs: number } | undefined;
  /** Another caller who happens to use the same key. */
  readonly strangerScope: string | undefined;
}

export interface Mix {
  /** Prefix of the names of this run's scopes. */
  readonly scopes: string;
  /** Default 8. */
  readonly scopeCount?: number;
  readonly routes: readonly Route[];
  /**
   * Share of operations that go to routes whose records expire soon, or that take no key. Default
   * none.
   */
  readonly others?: number;
  /**
   * Share of operations with short-lived records that are repeated around the expiry, which takes
   * seconds. Default all.
   */
  readonly aroundExpiry?: number;
  readonly duplicates: number;
  /** Share of operations that meet another body under their key; `queries`: another query. */
  readonly mismatches: number;
  readonly queries: number;
  readonly strangers: number;
  /** Share of operations whose deed fails at first. */
  readonly failures: number;
  /** Which ones. Default all. */
  readonly failing?: readonly Deed[];
  readonly clients: readonly ClientKind[];
  /** Duration of handlers. Default: most of them no time, some of them up to 80 ms. */
  readonly workMs?: number;
}

/** The mix of a whole run: of the operations 30 % are sent twice or more, and 5 % meet another body under their key. */
export const MIX: Mix = {
  scopes: "scope",
  routes: [...ROUTES, TURNING_ROUTE],
  others: 0.01,
  duplicates: 0.3,
  mismatches: 0.05,
  queries: 0.02,
  strangers: 0.05,
  failures: 0.05,
  clients: ["oncekey", "fetch", "undici"],
};

const FAILING: readonly Deed[] = [
  "busy",
  "break",
  "deadlock",
  "serialize",
  "swallow",
  "hang",
  "stall",
];
const EXPIRING: readonly Route[] = [...SHORT_ROUTES, ...FENCED_ROUTES];
const SCOPES = 8;
// Before, at and after the moment at which a short-lived record expires.
const AROUND_EXPIRY_MS = [
  0,
  SHORT_MS / 2,
  SHORT_MS - 20,
  SHORT_MS + 20,
  SHORT_MS + 100,
  SHORT_MS * 2,
];

export function drawOperation(random: Random, mix: Mix, drawKey: DrawKey = drawUuid): Operation {
  const { scopeCount = SCOPES } = mix;
  const scope = random.below(scopeCount);
  const copies = random.chance(mix.duplicates) ? 1 + random.below(3) : 0;
  const differing = drawDiffering(random, mix);
  const route = drawRoute(random, mix);
  const isRepeatedLate = EXPIRING.includes(route) && random.chance(mix.aroundExpiry ?? 1);
  return {
    id: random.uuid(),
    route,
    scope: `${mix.scopes}-${scope}`,
    key: drawKey(random, route.policy),
    client: random.pick(mix.clients),
    deed: drawDeed(random, mix),
    amount: 1 + random.below(100_000),
    workMs: mix.workMs ?? (random.chance(0.15) ? random.below(80) : random.below(3)),
    duplicatesAfterMs: isRepeatedLate
      ? AROUND_EXPIRY_MS
      : Array.from({ length: copies }, () => drawDelayMs(random)),
    mismatch: differing && { part: differing, afterMs: drawDelayMs(random) },
    strangerScope: random.chance(mix.strangers)
      ? `${mix.scopes}-${(scope + 1 + random.below(scopeCount - 1)) % scopeCount}`
      : undefined,
  };
}

function drawRoute(random: Random, { routes, others }: Mix): Route {
  return others !== undefined && random.chance(others)
    ? random.pick([...EXPIRING, KEYLESS_ROUTE])
    : random.pick(routes);
}

function drawDiffering(random: Random, { mismatches, queries }: Mix): "body" | "query" | undefined {
  const drawn = random.next();
  if (drawn < mismatches) return "body";
  return drawn < mismatches + queries ? "query" : undefined;
}

function drawDeed(random: Random, { failures, failing = FAILING }: Mix): Deed {
  if (random.chance(failures)) return random.pick(failing);
  return random.chance(0.05) ? random.pick(["decline", "refuse", "mask"] as const) : "charge";
}

// Half of them at once, to race; the rest while the first is answered or after it.
function drawDelayMs(random: Random): number {
  return random.chance(0.5) ? 0 : random.below(300);
}

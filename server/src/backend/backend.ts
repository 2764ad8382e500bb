/** Connects the routes with the store: one store and its single flight for each pool and each way of keeping records. */
import type { FastifyRequest } from "fastify";
import type { Pool } from "pg";
import { chain } from "../async/maybe-promise.ts";
import type { MaybePromise } from "../async/maybe-promise.ts";
import { whyNot } from "./pools.ts";
import type { Opened, Pools } from "./pools.ts";
import type { PoolOption, RouteOptions, Strategy } from "../options/options.ts";
import { fairStore } from "../layers/fair-shares.ts";
import { createReplayCache, withReplayCache } from "../layers/replay-cache.ts";
import type { ReplayCache, ReplayCacheOptions } from "../layers/replay-cache.ts";
import { createSingleFlight } from "../layers/single-flight.ts";
import type { Outcome, RouteStore } from "../layers/single-flight.ts";
import { createAdvisoryStore } from "../store/strategies/advisory.ts";
import { createLeaseStore } from "../store/strategies/lease.ts";
import { createRowStore } from "../store/strategies/row.ts";
import { partsOfRoute } from "../store/store-parts.ts";
import type { StoreParts } from "../store/store-parts.ts";
import type { OpenOutcome, Store, StoredRecord, Ticket, Unavailable } from "../store/store.ts";
import { isDropped, mayBeDropped } from "../store/maintenance/days.ts";
import { createUniqueStore } from "../store/strategies/unique.ts";

/** `expired`: the server does not run a key of that time, and nothing is stored for it. */
export type ClaimOutcome = Outcome | { readonly kind: "expired" };

/** The outcomes of one route's requests. */
export interface Engine {
  /**
   * Claims the ticket. If the table has partitions by the day of a key, and that of this key was dropped, it does as `askStored`.
   *
   * @param onWait called each time before it waits for another request that runs the ticket.
   */
  begin(ticket: Ticket, pool: Pool, onWait: () => void): MaybePromise<ClaimOutcome>;
  /** Looks up what is stored or running; starts nothing. */
  lookup(ticket: Ticket, pool: Pool): MaybePromise<Outcome>;
  /** The same for a key that the server does not run: without a record it has expired. */
  askStored(ticket: Ticket, pool: Pool): MaybePromise<ClaimOutcome>;
  open(pool: Pool, scope: string | undefined): Promise<OpenOutcome>;
  /** Returns the pool that a request's record is in. */
  poolOf(request: FastifyRequest): Pool;
}

/** All engines of one registration. */
export interface Engines {
  forRoute(options: RouteOptions): Engine;
  /** The strategies of the routes so far. */
  strategies(): ReadonlySet<Strategy>;
  forget(pool: Pool, ticket: Omit<Ticket, "fingerprint">): void;
  forgetScope(pool: Pool, scope: string): void;
}

/** The records of one route in one pool. */
interface PerPool {
  readonly parts: StoreParts;
  readonly records: RouteStore;
  readonly store: Store;
}

type OnRecord = (ticket: Ticket, record: StoredRecord) => void;

interface EngineOptions {
  readonly pool: PoolOption;
  readonly pools: Pools;
  readonly replayCache: boolean | ReplayCacheOptions;
  readonly maxInFlightPerScope?: number | undefined;
}

export function createEngines({
  pool,
  pools,
  replayCache,
  maxInFlightPerScope,
}: EngineOptions): Engines {
  // One for all routes: a ticket names its route. A route with an option of its own has one of its own.
  const shared = createReplayCache(typeof replayCache === "object" ? replayCache : {});
  const strategies = new Set<Strategy>();
  const routes = new Set<WeakMap<Pool, PerPool>>();

  function poolOf(request: FastifyRequest): Pool {
    return typeof pool === "function" ? pool(request) : pool;
  }

  function cacheOf(own: boolean | ReplayCacheOptions): ReplayCache | undefined {
    if (own === false) return undefined;
    if (own === true || own === replayCache) return shared;
    return createReplayCache(own);
  }

  return {
    strategies: () => strategies,
    forget: (used, ticket) => {
      for (const perPool of routes) perPool.get(used)?.records.forget(ticket);
    },
    forgetScope: (used, scope) => {
      for (const perPool of routes) perPool.get(used)?.records.forgetScope(scope);
    },
    forRoute(options) {
      strategies.add(options.strategy);
      const cache = cacheOf(options.replayCache);
      const perPool = new WeakMap<Pool, PerPool>();
      routes.add(perPool);
      // One for all requests, those included that waited for the test of their pool together.
      const make = (used: Pool, parts: StoreParts): PerPool => {
        const store = createRouteStore(parts, options, used, maxInFlightPerScope);
        const once = (onRecord: OnRecord): RouteStore => createSingleFlight(store, onRecord);
        const records = cache === undefined ? once(() => {}) : withReplayCache(once, cache, used);
        const made = { parts, store, records };
        perPool.set(used, made);
        return made;
      };
      const open = async (used: Pool): Promise<PerPool | Unavailable> => {
        const opened = await pools.open(used);
        if (opened.kind !== "open") return unavailable(opened);
        return perPool.get(used) ?? make(used, opened.parts);
      };
      const of = (used: Pool): MaybePromise<PerPool | Unavailable> =>
        perPool.get(used) ?? open(used);
      return createEngine(poolOf, of, options);
    },
  };
}

function createEngine(
  poolOf: (request: FastifyRequest) => Pool,
  of: (used: Pool) => MaybePromise<PerPool | Unavailable>,
  options: RouteOptions,
): Engine {
  const lookup = (ticket: Ticket, used: Pool): MaybePromise<Outcome> =>
    chain<PerPool | Unavailable, Outcome>(of(used), (found) =>
      "kind" in found ? found : found.records.lookup(ticket, options),
    );
  const askStored = (ticket: Ticket, used: Pool): MaybePromise<ClaimOutcome> =>
    chain<Outcome, ClaimOutcome>(lookup(ticket, used), (outcome) =>
      outcome.kind === "absent" ? { kind: "expired" } : outcome,
    );
  return {
    poolOf,
    lookup,
    askStored,
    begin(ticket, used, onWait) {
      const found = of(used);
      const begin = (open: PerPool | Unavailable): MaybePromise<ClaimOutcome> => {
        if ("kind" in open) return open;
        const { parts, records } = open;
        if (!mayBeDropped(ticket.key)) return records.begin(ticket, options, onWait);
        return chain(isDropped(parts, ticket.key), (dropped): MaybePromise<ClaimOutcome> => {
          if (typeof dropped === "object") return dropped;
          return dropped ? askStored(ticket, used) : records.begin(ticket, options, onWait);
        });
      };
      return found instanceof Promise ? found.then(begin) : begin(found);
    },
    async open(used, scope) {
      const found = await of(used);
      return "kind" in found ? found : found.store.open(scope);
    },
  };
}

function unavailable(opened: Exclude<Opened, { kind: "open" }>): Unavailable {
  const detail =
    opened.kind === "unreachable" ? opened.detail : "The idempotency store cannot be used";
  return { kind: "unavailable", detail, cause: whyNot(opened) };
}

function createRouteStore(
  parts: StoreParts,
  options: RouteOptions,
  used: Pool,
  maxInFlightPerScope: number | undefined,
): Store {
  const store = createStore(partsOfRoute(parts, options), options);
  const { scope, strategy } = options;
  // A lease holds no connection, and a single tenant has none to share with.
  const isShared = scope !== "single-tenant" && strategy !== "lease";
  return isShared ? fairStore(store, used, maxInFlightPerScope) : store;
}

function createStore(parts: StoreParts, { strategy, leaseDurationMs }: RouteOptions): Store {
  switch (strategy) {
    case "advisory":
      return createAdvisoryStore(parts);
    case "unique":
      return createUniqueStore(parts);
    case "row":
      return createRowStore(parts);
    case "lease":
      return createLeaseStore(parts, leaseDurationMs);
    default:
      return strategy satisfies never;
  }
}

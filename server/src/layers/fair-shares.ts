/** Limits the connections that handlers of one scope hold at a time: a storm of one tenant leaves the rest of the pool to the others. */
import type { Pool } from "pg";
import { patienceMs } from "../store/postgres/connection.ts";
import { ConnectionTimeoutError } from "../store/postgres/slots.ts";
import type { BeginOutcome, Claim, LookupOutcome, Store, Ticket } from "../store/store.ts";

/** Places of each scope, for one kind of use. */
interface Places {
  /** Returns whether a place was free. It is taken then. */
  tryTake(scope: string, limit: number): boolean;
  /** Waits in order for a free place. Resolves with `false` after `waitMs`. */
  take(scope: string, limit: number, waitMs: number): Promise<boolean>;
  free(scope: string): void;
}

/** Handlers and look-ups are counted apart: a scope whose handlers hang still gets its replays. */
interface PoolShares {
  readonly handlers: Places;
  readonly lookups: Places;
}

const SHARES = new WeakMap<Pool, PoolShares>();

/** Returns the counts of a pool: one set for all registrations that use it. */
function sharesOf(pool: Pool): PoolShares {
  const shares = SHARES.get(pool) ?? { handlers: createPlaces(), lookups: createPlaces() };
  SHARES.set(pool, shares);
  return shares;
}

/**
 * Returns the same store with a limit for each scope. It looks up a request above the limit first: a replay is answered at once.
 * A new key waits in order for a place, as long as the pool waits for a connection, and is `busy` after that.
 *
 * @param limit `undefined`: a quarter of the pool, at least 1.
 */
export function fairStore(store: Store, pool: Pool, limit: number = quarterOf(pool)): Store {
  // A scope that may take the whole pool needs no counting, and a pool of one cannot be shared.
  if (limit >= pool.options.max) return store;
  const { handlers, lookups } = sharesOf(pool);
  const waitMs = patienceMs(pool);

  async function lookup(ticket: Ticket): Promise<LookupOutcome> {
    if (!(await lookups.take(ticket.scope, limit, waitMs))) {
      const detail = "No database connection became free in time";
      return { kind: "unavailable", detail, cause: new ConnectionTimeoutError(detail) };
    }
    try {
      return await store.lookup(ticket);
    } finally {
      lookups.free(ticket.scope);
    }
  }

  /** Keeps the place of a scope until the claim ends, or frees it if there is none. */
  async function inPlace<Begun extends BeginOutcome>(
    scope: string,
    begin: () => Promise<Begun>,
  ): Promise<Begun> {
    let claim: Claim | undefined;
    try {
      const outcome = await begin();
      if (outcome.kind === "claimed" || outcome.kind === "crashed") ({ claim } = outcome);
      return outcome;
    } finally {
      if (claim === undefined) handlers.free(scope);
      else claim.onEnd(() => handlers.free(scope));
    }
  }

  return {
    lookup,
    async open(scope) {
      if (scope === undefined) return store.open(scope);
      if (!(await handlers.take(scope, limit, waitMs))) return { kind: "busy" };
      return inPlace(scope, () => store.open(scope));
    },
    async begin(ticket, ...retention) {
      const { scope } = ticket;
      if (!handlers.tryTake(scope, limit)) {
        const found = await lookup(ticket);
        if (found.kind !== "absent" && found.kind !== "unknown") return found;
        if (!(await handlers.take(scope, limit, waitMs))) return { kind: "busy" };
      }
      return inPlace(scope, () => store.begin(ticket, ...retention));
    },
  };
}

function quarterOf(pool: Pool): number {
  return Math.max(1, Math.floor(pool.options.max / 4));
}

interface Scope {
  taken: number;
  /** Waiting requests, the longest first, each with the limit of its registration. */
  readonly queue: { readonly limit: number; readonly proceed: () => void }[];
}

function createPlaces(): Places {
  // A scope stays here only while a place of it is taken: there may be millions of tenants.
  const scopes = new Map<string, Scope>();

  function tryTake(name: string, limit: number): boolean {
    const scope = scopes.get(name) ?? { taken: 0, queue: [] };
    if (scope.taken >= limit) return false;
    scope.taken += 1;
    scopes.set(name, scope);
    return true;
  }

  return {
    tryTake,
    async take(name, limit, waitMs) {
      const queue = scopes.get(name)?.queue;
      if (tryTake(name, limit) || queue === undefined) return true;
      return new Promise<boolean>((resolve) => {
        const proceed = (): void => {
          clearTimeout(timer);
          resolve(true);
        };
        const turn = { limit, proceed };
        const timer = setTimeout(() => {
          queue.splice(queue.indexOf(turn), 1);
          resolve(false);
        }, waitMs);
        queue.push(turn);
      });
    },
    free(name) {
      const scope = scopes.get(name);
      if (scope === undefined) return;
      scope.taken -= 1;
      const [next] = scope.queue;
      if (next !== undefined && scope.taken < next.limit) {
        scope.queue.shift();
        scope.taken += 1;
        next.proceed();
      } else if (scope.taken === 0) scopes.delete(name);
    },
  };
}

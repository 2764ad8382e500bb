/** Bugs that stand in for a part of the product: each is that part with one thing wrong. */
import type { ReplayCache } from "../../src/layers/replay-cache.ts";
import type { SingleFlight } from "../../src/layers/single-flight.ts";
import type { Store, StoredRecord, Ticket } from "../../src/store/store.ts";

type OnRecord = (ticket: Ticket, record: StoredRecord) => void;
type Create = (store: Store, onRecord: OnRecord) => SingleFlight;

/** A ticket without its scope, and the one that it was. */
interface Bare extends Ticket {
  readonly of: Ticket;
}

export function withoutScope<Some extends object>(ticket: Some): Some {
  return { ...ticket, scope: "" };
}

/** Single flight whose key ignores the scope; each flight still asks the store for its own ticket. */
export function scopelessFlights(create: Create, store: Store, onRecord: OnRecord): SingleFlight {
  const bare = (ticket: Ticket): Bare => ({ ...withoutScope(ticket), of: ticket });
  const full = (ticket: Ticket): Ticket => (ticket as Bare).of;
  const asked: Store = {
    ...store,
    begin: (ticket, retention) => store.begin(full(ticket), retention),
    lookup: (ticket) => store.lookup(full(ticket)),
  };
  const flights = create(asked, (ticket, record) => onRecord(full(ticket), record));
  return {
    begin: (ticket, waiting, onHeld) => flights.begin(bare(ticket), waiting, onHeld),
    lookup: (ticket, waiting) => flights.lookup(bare(ticket), waiting),
    forget: (ticket) => flights.forget(withoutScope(ticket)),
    forgetScope: () => {},
  };
}

/** Waiters receive the flight's result even if the record has expired since; the cache still checks. */
export function staleFlights(create: Create, store: Store, onRecord: OnRecord): SingleFlight {
  const originals = new WeakMap<StoredRecord, StoredRecord>();
  const asked: Store = {
    ...store,
    async begin(ticket, retention) {
      const outcome = await store.begin(ticket, retention);
      if (outcome.kind !== "replay") return outcome;
      const record = { ...outcome.record, lifetimeMs: Infinity };
      originals.set(record, outcome.record);
      return { kind: "replay", record };
    },
  };
  return create(asked, (ticket, record) => onRecord(ticket, originals.get(record) ?? record));
}

export function scopelessCache(cache: ReplayCache): ReplayCache {
  return {
    get: (pool, ticket) => cache.get(pool, withoutScope(ticket)),
    set: (pool, ticket, record) => cache.set(pool, withoutScope(ticket), record),
    forget: (pool, ticket) => cache.forget(pool, withoutScope(ticket)),
    forgetScope: () => {},
  };
}

/** Over at the same instant, and a minute younger. */
export function slowCache(cache: ReplayCache): ReplayCache {
  return {
    ...cache,
    set: (pool, ticket, { askedAt, lifetimeMs, ...record }) =>
      cache.set(pool, ticket, {
        ...record,
        askedAt: askedAt + 60_000,
        lifetimeMs: lifetimeMs - 60_000,
      }),
  };
}

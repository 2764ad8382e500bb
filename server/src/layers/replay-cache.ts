/** Finished records of this process, so that a repeat that comes back here asks no database. Bounded by entries and by bytes. */
import { LRUCache } from "lru-cache";
import type { Pool } from "pg";
import type { RouteStore } from "./single-flight.ts";
import { remainingMs } from "../store/record.ts";
import type { StoredRecord, Ticket } from "../store/store.ts";
import { scopePrefix, ticketId } from "../ticket/ticket-id.ts";

export interface ReplayCacheOptions {
  /**
   * The most records that are kept.
   *
   * @range 1–1_000_000
   * @default 1_000
   */
  readonly maxEntries?: number;
  /** Bytes of their bodies, headers and names together, 1–1_073_741_824. Default 16 MiB. */
  readonly maxBytes?: number;
}

/** Records by pool and ticket: if tenants have pools of their own, one scope may mean another user in another pool. */
export interface ReplayCache {
  get(pool: Pool, ticket: Ticket): StoredRecord | undefined;
  set(pool: Pool, ticket: Ticket, record: StoredRecord): void;
  forget(pool: Pool, ticket: Omit<Ticket, "fingerprint">): void;
  forgetScope(pool: Pool, scope: string): void;
}

// Another process may forget a record: this process replays it for a minute more at most.
const MAX_AGE_MS = 60_000;
// Objects and buffers around what is counted.
const OVERHEAD_BYTES = 512;

export function createReplayCache({
  maxEntries = 1_000,
  maxBytes = 16_777_216,
}: ReplayCacheOptions): ReplayCache {
  const entries = new LRUCache<string, StoredRecord>({
    max: maxEntries,
    maxSize: maxBytes,
    sizeCalculation: (record, id) => sizeOf(record) + id.length * 2,
  });
  const pools = new WeakMap<Pool, number>();
  let poolCount = 0;
  const idOf = (pool: Pool, ticket: Omit<Ticket, "fingerprint">): string => {
    const number = pools.get(pool) ?? poolCount++;
    pools.set(pool, number);
    return `${number} ${ticket.id ?? ticketId(ticket)}`;
  };
  return {
    get(pool, ticket) {
      const id = idOf(pool, ticket);
      const record = entries.get(id);
      if (record === undefined) return undefined;
      const ageMs = performance.now() - record.askedAt;
      if (remainingMs(record) > 0 && ageMs < MAX_AGE_MS) return record;
      entries.delete(id);
      return undefined;
    },
    set: (pool, ticket, record) => void entries.set(idOf(pool, ticket), record),
    forget: (pool, ticket) => void entries.delete(idOf(pool, ticket)),
    forgetScope(pool, scope) {
      const beginning = `${pools.get(pool)} ${scopePrefix(scope)}`;
      for (const id of entries.keys()) if (id.startsWith(beginning)) entries.delete(id);
    },
  };
}

/**
 * Puts the cache of a process before the records of a route.
 *
 * @param makeNext makes the next layer, which calls `onRecord` with each finished record that comes by.
 */
export function withReplayCache(
  makeNext: (onRecord: (ticket: Ticket, record: StoredRecord) => void) => RouteStore,
  cache: ReplayCache,
  pool: Pool,
): RouteStore {
  const next = makeNext((ticket, record) => cache.set(pool, ticket, record));
  return {
    begin(ticket, waiting, onWait) {
      const record = cache.get(pool, ticket);
      return record === undefined
        ? next.begin(ticket, waiting, onWait)
        : { kind: "replay", record };
    },
    lookup(ticket, waiting) {
      const record = cache.get(pool, ticket);
      return record === undefined ? next.lookup(ticket, waiting) : { kind: "replay", record };
    },
    forget(ticket) {
      next.forget(ticket);
      cache.forget(pool, ticket);
    },
    forgetScope(scope) {
      next.forgetScope(scope);
      cache.forgetScope(pool, scope);
    },
  };
}

function sizeOf({ response: { headers, body } }: StoredRecord): number {
  const text = headers.reduce((length, [name, value]) => length + name.length + value.length, 0);
  return OVERHEAD_BYTES + text * 2 + (body?.length ?? 0);
}

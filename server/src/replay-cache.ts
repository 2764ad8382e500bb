/** Finished records of this process, so that a repeat that comes back here asks no database. Bounded by entries and by bytes. */
import { LRUCache } from "lru-cache";
import { ticketId } from "./single-flight.ts";
import { remainingMs } from "./store/record.ts";
import type { StoredRecord, Ticket } from "./store/store.ts";

export interface ReplayCacheOptions {
  /** How many records are kept, 1–1_000_000. Default 1_000. */
  readonly maxEntries?: number;
  /** Bytes of their bodies, headers and names together, 1–1_073_741_824. Default 16 MiB. */
  readonly maxBytes?: number;
}

export interface ReplayCache {
  get(ticket: Ticket): StoredRecord | undefined;
  set(ticket: Ticket, record: StoredRecord): void;
  /** Drops one record, or with no ticket all of them. */
  forget(ticket?: Omit<Ticket, "fingerprint">): void;
}

// Another process may forget a record meanwhile; a minute is how long it can still be answered here.
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
  return {
    get(ticket) {
      const record = entries.get(ticketId(ticket));
      if (record === undefined) return undefined;
      const ageMs = performance.now() - record.askedAt;
      if (remainingMs(record) > 0 && ageMs < MAX_AGE_MS) return record;
      entries.delete(ticketId(ticket));
      return undefined;
    },
    set: (ticket, record) => void entries.set(ticketId(ticket), record),
    forget: (ticket) =>
      ticket === undefined ? entries.clear() : void entries.delete(ticketId(ticket)),
  };
}

function sizeOf({ response: { headers, body } }: StoredRecord): number {
  const text = headers.reduce((length, [name, value]) => length + name.length + value.length, 0);
  return OVERHEAD_BYTES + text * 2 + (body?.length ?? 0);
}

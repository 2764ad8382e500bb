/** A record's way into the columns of the table and back. */
import type { Row } from "./postgres/batch.ts";
import type {
  InFlight,
  Lifetime,
  Retention,
  StoredRecord,
  StoredResponse,
  Ticket,
} from "./store.ts";

/** The three columns of the primary key, in its order. */
export function ticketValues(
  ticket: Omit<Ticket, "fingerprint">,
): [key: string, scope: string, target: string] {
  return [ticket.key, ticket.scope, ticket.target];
}

/**
 * Returns the values of a statement that stores a response.
 *
 * @param mark the row's fingerprint, or the owner of its lease.
 * @param response the sealed response.
 */
export function recordValues(
  ticket: Omit<Ticket, "fingerprint">,
  mark: Buffer | string,
  response: StoredResponse,
  { retentionMs, fenceMs }: Retention,
): (string | Buffer | null)[] {
  return [
    ...ticketValues(ticket),
    mark,
    String(response.status),
    JSON.stringify(response.headers),
    response.body ?? null,
    String(retentionMs),
    String(fenceMs),
  ];
}

/** Returns the remaining lifetime of a record, in ms. At 0 or less it must not be answered with. */
export function remainingMs({
  lifetimeMs,
  askedAt,
}: Pick<Lifetime, "lifetimeMs" | "askedAt">): number {
  return askedAt + lifetimeMs - performance.now();
}

/** Returns for how many more ms the key of a record runs nothing. */
export function remainingFenceMs({ fenceMs, askedAt }: Lifetime): number {
  return askedAt + fenceMs - performance.now();
}

/** Reads a row of the `lookup` statement, as it stands in the table: the codec opens it. */
export function readRecord(row: Row, askedAt: number): StoredRecord {
  const [fingerprint, status, headers, body, lifetimeMs, owner, fenceMs] = row;
  // Without headers the response has expired, whether the sweep has come by or not.
  const isTombstone = (headers ?? null) === null;
  return {
    fingerprint: Buffer.from(fingerprint ?? "", "hex"),
    response: {
      status: Number(status),
      headers: JSON.parse(headers ?? "[]") as [string, string][],
      body: body === null || body === undefined ? undefined : Buffer.from(body, "hex"),
    },
    lifetimeMs: Number(isTombstone ? fenceMs : lifetimeMs),
    fenceMs: Number(fenceMs),
    askedAt,
    owner: owner ?? undefined,
    ...(isTombstone && { isTombstone }),
  };
}

/** Reads the fingerprint of an unfinished row, the first column where there is one. */
export function readInFlight(row: Row | undefined): InFlight {
  const fingerprint = row?.[0];
  return {
    kind: "in-flight",
    fingerprint: fingerprint ? Buffer.from(fingerprint, "hex") : undefined,
  };
}

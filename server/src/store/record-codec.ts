/** The codec of a record's content: how fingerprint, response and step results are written into a row, and read from it. */
import type { Completion, InFlight, StoredRecord, StoredResponse, Ticket } from "./store.ts";
import type { Unavailable } from "./store.ts";

/** Result of comparing a row with a request. `unreadable`: the key that signed the row is missing. */
export type Comparison = "same" | "other" | "unreadable";

/** One for each route: plain, or with the route's encryption keys. */
export interface RecordCodec {
  /** Returns the fingerprint for the row of a ticket. */
  fingerprint(ticket: Ticket): Buffer;
  /** Compares the fingerprint of a row with the request of a ticket. */
  compare(stored: Buffer, ticket: Ticket): Comparison;
  /** Compares an unfinished row with the request that would take its lease over. */
  compareUnfinished(stored: Buffer, ticket: Ticket): Comparison;
  /** Whether a response can be sealed for a row with this fingerprint. */
  canSeal(stored: Buffer): boolean;
  seal(response: StoredResponse, ticket: Ticket): StoredResponse;
  /**
   * Opens a record as it stands in the table.
   *
   * @throws DecryptionError if it cannot be read, or was not written for this ticket.
   */
  open(record: StoredRecord, ticket: Ticket): StoredRecord;
  sealStep(json: string, name: string, ticket: Ticket): string;
  /** @throws DecryptionError as `open` does. */
  openStep(stored: string, name: string, ticket: Ticket): string;
}

/**
 * Thrown if stored data cannot be decrypted: its key is not in the list, or it was not written for
 * this ticket.
 */
export class DecryptionError extends Error {
  override name = "DecryptionError";
}

/** The one header of a record whose content is encrypted: its value begins with the id of the key, up to a dot. */
export const SEALED = "oncekey-sealed";
/** A key's id and base64 of at least salt, nonce and tag: no JSON text is like that. */
const SEALED_TEXT = /^[\w-]{1,64}\.[A-Za-z0-9+/]{59,}=*$/;

/**
 * Length of a plain fingerprint: the version byte and SHA-256. A keyed fingerprint is longer by the
 * id of its key.
 */
export const PLAIN_BYTES = 33;

/** Whether a fingerprint was written with an encryption key. */
export function isKeyed(fingerprint: Buffer): boolean {
  return fingerprint.length > PLAIN_BYTES;
}

export function isSealedText(text: string): boolean {
  return SEALED_TEXT.test(text);
}

function comparePlain(stored: Buffer, { fingerprint }: Ticket): Comparison {
  if (isKeyed(stored)) return "unreadable";
  return stored.equals(fingerprint) ? "same" : "other";
}

/** The codec of a route without encryption: writes what it is given, and refuses to read what was encrypted. */
export const PLAIN_CODEC: RecordCodec = {
  fingerprint: ({ fingerprint }) => fingerprint,
  compare: comparePlain,
  compareUnfinished: comparePlain,
  canSeal: (stored) => !isKeyed(stored),
  seal: (response) => response,
  open(record, ticket) {
    const { fingerprint, isTombstone, response } = record;
    // A tombstone discloses nothing, and stays for longer than keys do.
    if (isTombstone)
      return isKeyed(fingerprint) ? { ...record, fingerprint: ticket.fingerprint } : record;
    if (response.headers.some(([name]) => name === SEALED)) throw keyless("record");
    if (!isKeyed(fingerprint)) return record;
    throw new DecryptionError("the record is not encrypted, and its fingerprint is keyed");
  },
  sealStep: (json) => json,
  openStep(stored) {
    if (isSealedText(stored)) throw keyless("step's result");
    return stored;
  },
};

function keyless(what: string): DecryptionError {
  return new DecryptionError(`the ${what} is encrypted, and option encryption is not set`);
}

/** Returns the record of a row as a replay. An unreadable record is no answer. */
export function openReplay(
  record: StoredRecord,
  ticket: Ticket,
  codec: RecordCodec,
): { readonly kind: "replay"; readonly record: StoredRecord } | Unavailable {
  try {
    return { kind: "replay", record: codec.open(record, ticket) };
  } catch (cause) {
    return unreadable(cause);
  }
}

/** Opens the record that stands, if another claim was faster: it may be unreadable without its encryption key. */
export function openSuperseded(
  completion: Completion,
  ticket: Ticket,
  codec: RecordCodec,
): Completion {
  if (completion.kind !== "superseded") return completion;
  try {
    return { kind: "superseded", record: codec.open(completion.record, ticket) };
  } catch (cause) {
    return { kind: "unknown", cause };
  }
}

/** Returns the same outcome with a fingerprint that compares with the ticket's, or without one if the row's is unreadable. */
export function openInFlight<Outcome extends { readonly kind: string }>(
  outcome: Outcome | InFlight,
  ticket: Ticket,
  codec: RecordCodec,
): Outcome | InFlight {
  if (!isInFlight(outcome) || outcome.fingerprint === undefined) return outcome;
  const { fingerprint } = outcome;
  const readable = { same: ticket.fingerprint, other: fingerprint, unreadable: undefined };
  return { ...outcome, fingerprint: readable[codec.compare(fingerprint, ticket)] };
}

function isInFlight(outcome: { readonly kind: string }): outcome is InFlight {
  return outcome.kind === "in-flight";
}

function unreadable(cause: unknown): Unavailable {
  return {
    kind: "unavailable",
    detail: "What is stored for this key could not be decrypted",
    cause,
  };
}

/** Returns the outcome for an unfinished row whose fingerprint cannot be compared. */
export function unreadableOwner(): Unavailable {
  return unreadable(
    new DecryptionError("an unfinished record's owner cannot be identified without its key"),
  );
}

/**
 * Wraps the store of a route, with encryption or without: an unreadable record is never replayed.
 */
import { openRecord, openStep, requirePlain, sealResponse, sealStep } from "./seal.ts";
import { DecryptionError, writingKey } from "./keys.ts";
import type { EncryptionOptions } from "./keys.ts";
import { compareFingerprint, isKeyed, keyFingerprint } from "./keyed-fingerprint.ts";
import type {
  BeginOutcome,
  Claim,
  Completion,
  LookupOutcome,
  StepMemory,
  Store,
  StoredRecord,
  Ticket,
  Unavailable,
} from "../../store/store.ts";
import { wrapClaim } from "../wrap-claim.ts";

/**
 * Returns the same store with an unreadable table: headers, body and step results are encrypted.
 * The fingerprint is keyed, because a plain digest of a short body can be guessed. A row's content
 * opens only for its own scope, key, target and status: rows cannot be swapped.
 */
export function encryptedStore(store: Store, options: EncryptionOptions): Store {
  const first = writingKey(options);
  const keyed = (ticket: Ticket): Ticket => ({
    ...ticket,
    fingerprint: keyFingerprint(first, ticket),
  });
  const compare = (stored: Buffer, ticket: Ticket) => compareFingerprint(stored, ticket, options);
  // A lease is gone on with, and closed to others, only where a key of the list has signed whose it is, or none need have.
  const compareCrashed = (stored: Buffer, ticket: Ticket) =>
    isKeyed(stored) || options.plaintext === "read" ? compare(stored, ticket) : "unreadable";

  function open<Outcome extends BeginOutcome | LookupOutcome>(
    outcome: Outcome,
    ticket: Ticket,
  ): Outcome {
    switch (outcome.kind) {
      case "claimed":
      case "crashed":
        return { ...outcome, claim: sealedClaim(outcome.claim, options, ticket) };
      case "replay":
        return { ...outcome, record: openRecord(outcome.record, options, ticket) };
      case "in-flight": {
        // A keyed fingerprint can only be compared for equality. If its key is missing, it is left
        // out.
        const { fingerprint } = outcome;
        if (fingerprint === undefined) return outcome;
        const told = { same: ticket.fingerprint, other: fingerprint, unreadable: undefined };
        return { ...outcome, fingerprint: told[compare(fingerprint, ticket)] };
      }
      case "conflict":
        if (compareCrashed(outcome.fingerprint, ticket) === "unreadable") throw unreadable();
        return outcome;
      case "absent":
      case "unknown":
      case "busy":
      case "unavailable":
        return outcome;
      default:
        return outcome satisfies never;
    }
  }

  const opened = <Outcome extends BeginOutcome | LookupOutcome>(outcome: Outcome, ticket: Ticket) =>
    orUnreadable(() => open(outcome, ticket));

  return {
    async begin(ticket, retention) {
      let outcome = await store.begin(keyed(ticket), retention);
      // The process that began the request may have another encryption key first in its list.
      while (
        outcome.kind === "conflict" &&
        compareCrashed(outcome.fingerprint, ticket) === "same"
      ) {
        const { fingerprint } = outcome;
        outcome = await store.begin({ ...ticket, fingerprint }, retention);
      }
      return opened(outcome, ticket);
    },
    lookup: async (ticket) => opened(await store.lookup(keyed(ticket)), ticket),
    open: () => store.open(),
  };
}

/** Returns the claim, whose response and step results are encrypted. */
export function sealedClaim(claim: Claim, options: EncryptionOptions, ticket: Ticket): Claim {
  const { steps } = claim;
  const key = writingKey(options);
  return wrapClaim(claim, {
    steps: steps && {
      begin: () => steps.begin(),
      read: (name) => readStep(steps, name, options, ticket),
      write: (name, json) => steps.write(name, sealStep(json, name, key, ticket)),
    },
    async complete(response, writes) {
      const completion = await claim.complete(sealResponse(response, key, ticket), writes);
      return readSuperseded(completion, (record) => openRecord(record, options, ticket));
    },
  });
}

/** The same store, for a process without keys: a record that another has written with one is not readable for it. */
export function unencryptedStore(store: Store): Store {
  const read = <Outcome extends BeginOutcome | LookupOutcome>(outcome: Outcome, ticket: Ticket) =>
    orUnreadable((): Outcome => {
      if (outcome.kind === "replay")
        return { ...outcome, record: requirePlain(outcome.record, ticket) };
      if (!("fingerprint" in outcome) || !outcome.fingerprint || !isKeyed(outcome.fingerprint))
        return outcome;
      if (outcome.kind === "conflict") throw unreadable();
      return { ...outcome, fingerprint: undefined };
    });
  return {
    async begin(ticket, retention) {
      const outcome = read(await store.begin(ticket, retention), ticket);
      if (outcome.kind !== "claimed" && outcome.kind !== "crashed") return outcome;
      return { kind: outcome.kind, claim: readingPlain(outcome.claim, ticket) };
    },
    lookup: async (ticket) => read(await store.lookup(ticket), ticket),
    open: () => store.open(),
  };
}

function readingPlain(claim: Claim, ticket: Ticket): Claim {
  const { steps } = claim;
  return wrapClaim(claim, {
    steps: steps && {
      begin: () => steps.begin(),
      read: (name) => readStep(steps, name, undefined, ticket),
      write: (name, json) => steps.write(name, json),
    },
    complete: async (response, writes) =>
      readSuperseded(await claim.complete(response, writes), (record) =>
        requirePlain(record, ticket),
      ),
  });
}

function readStep(
  steps: StepMemory,
  name: string,
  options: EncryptionOptions | undefined,
  ticket: Ticket,
): string | undefined {
  const stored = steps.read(name);
  return stored === undefined ? undefined : openStep(stored, name, options, ticket);
}

function unreadable(): DecryptionError {
  return new DecryptionError("an unfinished record's owner cannot be identified without its key");
}

function orUnreadable<Outcome>(read: () => Outcome): Outcome | Unavailable {
  try {
    return read();
  } catch (cause) {
    return {
      kind: "unavailable",
      detail: "What is stored for this key could not be decrypted",
      cause,
    };
  }
}

// The claim's own writes are rolled back. The record that stands may be unreadable without its
// encryption key.
function readSuperseded(
  completion: Completion,
  read: (record: StoredRecord) => StoredRecord,
): Completion {
  if (completion.kind !== "superseded") return completion;
  try {
    return { ...completion, record: read(completion.record) };
  } catch (cause) {
    return { kind: "unknown", cause };
  }
}

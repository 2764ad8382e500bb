/** The codec of a route with encryption. */
import { isKeyed, PLAIN_CODEC } from "../record-codec.ts";
import type { RecordCodec } from "../record-codec.ts";
import { compareFingerprint, keyFingerprint } from "./keyed-fingerprint.ts";
import { writingKey } from "./keys.ts";
import type { EncryptionOptions } from "./keys.ts";
import { openRecord, openStep, sealResponse, sealStep } from "./seal.ts";

/**
 * Makes a codec that leaves nothing readable in the table: headers, body and step results are
 * encrypted. The fingerprint is keyed, because a plain digest of a short body can be guessed. A
 * row's content opens only for its own scope, key, target and status: rows cannot be swapped.
 */
export function createEncryptedCodec(options: EncryptionOptions): RecordCodec {
  const key = writingKey(options);
  const readsPlaintext = options.plaintext === "read";
  return {
    fingerprint: (ticket) => keyFingerprint(key, ticket),
    compare: (stored, ticket) => compareFingerprint(stored, ticket, options),
    // A lease is gone on with, and closed to others, only if a key of the list has signed whose it is, or none need have.
    compareUnfinished: (stored, ticket) =>
      isKeyed(stored) || readsPlaintext
        ? compareFingerprint(stored, ticket, options)
        : "unreadable",
    canSeal: () => true,
    seal: (response, ticket) => sealResponse(response, key, ticket),
    open: (record, ticket) => openRecord(record, options, ticket),
    sealStep: (json, name, ticket) => sealStep(json, name, key, ticket),
    openStep: (stored, name, ticket) => openStep(stored, name, options, ticket),
  };
}

/** The codec of a route by its option `encryption`. */
export function codecOf(encryption: EncryptionOptions | undefined): RecordCodec {
  return encryption === undefined ? PLAIN_CODEC : createEncryptedCodec(encryption);
}

/** Fingerprints as they stand in an encrypted row: keyed, because the plain digest of a short body can be guessed. */
import { createHmac, hkdfSync } from "node:crypto";
import { findKey } from "./keys.ts";
import type { EncryptionKey, EncryptionOptions } from "./keys.ts";
import { isKeyed, PLAIN_BYTES } from "../record-codec.ts";
import type { Comparison } from "../record-codec.ts";
import type { Ticket } from "../store.ts";

/**
 * Returns the version byte of the plain fingerprint, its HMAC-SHA-256 and the id of the key. The
 * HMAC covers the ticket's id as well: equal requests under two keys must not show, or a caller
 * could test a guess by sending it.
 */
export function keyFingerprint({ id, secret }: EncryptionKey, ticket: Ticket): Buffer {
  const { scope, key, target, fingerprint } = ticket;
  const own = Buffer.from(hkdfSync("sha256", secret, "", "oncekey:fingerprint:v1", 32));
  const whose = JSON.stringify([scope, key, target, fingerprint.toString("hex")]);
  const digest = createHmac("sha256", own).update(whose).digest();
  return Buffer.concat([fingerprint.subarray(0, 1), digest, Buffer.from(id)]);
}

/**
 * Compares `stored` with the request of a ticket. `unreadable`: its key is not in the list, so they
 * cannot be compared.
 */
export function compareFingerprint(
  stored: Buffer,
  ticket: Ticket,
  options: EncryptionOptions,
): Comparison {
  if (!isKeyed(stored)) return stored.equals(ticket.fingerprint) ? "same" : "other";
  const key = findKey(stored.subarray(PLAIN_BYTES).toString(), options);
  if (key === undefined) return "unreadable";
  return stored.equals(keyFingerprint(key, ticket)) ? "same" : "other";
}

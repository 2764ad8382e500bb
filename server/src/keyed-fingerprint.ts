/** Fingerprints as they stand in an encrypted row: keyed, because the plain digest of a short body can be guessed. */
import { createHmac, hkdfSync } from "node:crypto";
import { findKey } from "./encryption-keys.ts";
import type { EncryptionKey, EncryptionOptions } from "./encryption-keys.ts";

/** Of a plain fingerprint: the version byte and SHA-256. A keyed one is longer by the id of its key. */
const PLAIN_BYTES = 33;

/** The version byte of the plain one, HMAC-SHA-256 of it, and the id of the key. */
export function keyFingerprint({ id, secret }: EncryptionKey, fingerprint: Buffer): Buffer {
  const key = Buffer.from(hkdfSync("sha256", secret, "", "oncekey:fingerprint:v1", 32));
  const digest = createHmac("sha256", key).update(fingerprint).digest();
  return Buffer.concat([fingerprint.subarray(0, 1), digest, Buffer.from(id)]);
}

export function isKeyed(fingerprint: Buffer): boolean {
  return fingerprint.length > PLAIN_BYTES;
}

/** Whether `stored` is of the request of the plain `fingerprint`. `unreadable`: its key is not in the list, so nobody here can tell. */
export function compareFingerprint(
  stored: Buffer,
  fingerprint: Buffer,
  options: EncryptionOptions,
): "same" | "other" | "unreadable" {
  if (!isKeyed(stored)) return stored.equals(fingerprint) ? "same" : "other";
  const key = findKey(stored.subarray(PLAIN_BYTES).toString(), options);
  if (key === undefined) return "unreadable";
  return stored.equals(keyFingerprint(key, fingerprint)) ? "same" : "other";
}

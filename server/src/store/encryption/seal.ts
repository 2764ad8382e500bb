/** Encryption at rest: AES-256-GCM over a record's content, bound to the record's ticket. */
import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from "node:crypto";
import { findKey } from "./keys.ts";
import type { EncryptionKey, EncryptionOptions } from "./keys.ts";
import { compareFingerprint } from "./keyed-fingerprint.ts";
import { DecryptionError, isKeyed, isSealedText, PLAIN_CODEC, SEALED } from "../record-codec.ts";
import type { StoredRecord, StoredResponse, Ticket } from "../store.ts";

const SALT_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export function sealResponse(
  response: StoredResponse,
  key: EncryptionKey,
  ticket: Ticket,
): StoredResponse {
  const { status } = response;
  const body = response.body && seal(response.body, key, ticket, bodyPurpose(status, ticket));
  const head = JSON.stringify({
    headers: response.headers,
    fingerprint: ticket.fingerprint.toString("hex"),
    body: digestBody(body),
  });
  return {
    status,
    headers: [[SEALED, sealText(head, key, ticket, `head:${status}`)]],
    body,
  };
}

export function openRecord(
  record: StoredRecord,
  options: EncryptionOptions,
  ticket: Ticket,
): StoredRecord {
  if (record.isTombstone)
    return { ...record, fingerprint: tombstoneFingerprint(record, options, ticket) };
  const { status, headers, body } = record.response;
  const sealed = headers.find(([name]) => name === SEALED)?.[1];
  if (sealed === undefined) {
    if (options.plaintext === "read") return PLAIN_CODEC.open(record, ticket);
    throw new DecryptionError("the record is not encrypted");
  }
  const head = JSON.parse(openText(sealed, options, ticket, `head:${status}`)) as {
    headers: [string, string][];
    fingerprint: string;
    body: string | null;
  };
  if (head.body !== digestBody(body))
    throw new DecryptionError("the record's body is not the one it was written with");
  const [id = ""] = sealed.split(".", 1);
  const key = keyOf(id, options);
  const written = Buffer.from(head.fingerprint, "hex");
  const fingerprint = originalFingerprint(written, options, ticket);
  // The sealed one counts. A lease that was taken over keeps the one that it was begun with, whose key may be gone by now.
  const isOthers = isKeyed(written)
    ? !record.fingerprint.equals(written)
    : compareFingerprint(record.fingerprint, { ...ticket, fingerprint }, options) === "other";
  if (isOthers) {
    throw new DecryptionError("the record's fingerprint is not the one it was written with");
  }
  const opened = body && unseal(body, key, ticket, bodyPurpose(status, { fingerprint: written }));
  return { ...record, fingerprint, response: { status, headers: head.headers, body: opened } };
}

/** A response that was not its request's own (of a person, of crash recovery) was sealed with the keyed fingerprint of the row. */
function originalFingerprint(written: Buffer, options: EncryptionOptions, ticket: Ticket): Buffer {
  if (!isKeyed(written)) return written;
  const compared = compareFingerprint(written, ticket, options);
  if (compared === "unreadable")
    throw new DecryptionError("the key that signed the record is not in the list");
  return compared === "same" ? ticket.fingerprint : written;
}

/**
 * Returns the request's own fingerprint unless the tombstone was written for another request. Without
 * its key it counts as the request's own: it discloses nothing, and stays for longer than keys do.
 */
function tombstoneFingerprint(
  { fingerprint }: StoredRecord,
  options: EncryptionOptions,
  ticket: Ticket,
): Buffer {
  return compareFingerprint(fingerprint, ticket, options) === "other"
    ? fingerprint
    : ticket.fingerprint;
}

export function openStep(
  stored: string,
  name: string,
  options: EncryptionOptions,
  ticket: Ticket,
): string {
  if (isSealedText(stored)) return openText(stored, options, ticket, stepPurpose(name));
  if (options.plaintext === "read") return stored;
  throw new DecryptionError("the step's result is not encrypted");
}

export function sealStep(json: string, name: string, key: EncryptionKey, ticket: Ticket): string {
  return sealText(json, key, ticket, stepPurpose(name));
}

function stepPurpose(name: string): string {
  return `step:${name}`;
}

function bodyPurpose(status: number, { fingerprint }: Pick<Ticket, "fingerprint">): string {
  return `body:${status}:${fingerprint.toString("hex")}`;
}

/**
 * Returns the digest of a sealed body for the head. Without it a removed body, or an older body of
 * the same ticket, would pass.
 */
function digestBody(sealed: Buffer | undefined): string | null {
  return sealed === undefined ? null : createHash("sha256").update(sealed).digest("hex");
}

function sealText(text: string, key: EncryptionKey, ticket: Ticket, purpose: string): string {
  return `${key.id}.${seal(Buffer.from(text), key, ticket, purpose).toString("base64")}`;
}

function openText(
  sealed: string,
  options: EncryptionOptions,
  ticket: Ticket,
  purpose: string,
): string {
  const [id = "", base64 = ""] = sealed.split(".", 2);
  return unseal(Buffer.from(base64, "base64"), keyOf(id, options), ticket, purpose).toString();
}

// A key of its own for each text, from a random salt (HKDF, RFC 5869): random nonces under one key would run out (NIST SP 800-38D §8.3).
function seal(plain: Buffer, key: EncryptionKey, ticket: Ticket, purpose: string): Buffer {
  const salt = randomBytes(SALT_BYTES);
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv("aes-256-gcm", derive(key, salt), nonce);
  cipher.setAAD(context(ticket, purpose));
  const text = Buffer.concat([cipher.update(plain), cipher.final()]);
  return Buffer.concat([salt, nonce, text, cipher.getAuthTag()]);
}

function unseal(sealed: Buffer, key: EncryptionKey, ticket: Ticket, purpose: string): Buffer {
  const nonceAt = SALT_BYTES + NONCE_BYTES;
  const decipher = createDecipheriv(
    "aes-256-gcm",
    derive(key, sealed.subarray(0, SALT_BYTES)),
    sealed.subarray(SALT_BYTES, nonceAt),
  );
  decipher.setAAD(context(ticket, purpose));
  try {
    decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
    return Buffer.concat([decipher.update(sealed.subarray(nonceAt, -TAG_BYTES)), decipher.final()]);
  } catch (cause) {
    throw new DecryptionError("the record was not written for this ticket, or not with this key", {
      cause,
    });
  }
}

function derive({ secret }: EncryptionKey, salt: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", secret, salt, "oncekey:record:v1", 32));
}

function context({ scope, key, target }: Ticket, purpose: string): Buffer {
  return Buffer.from(JSON.stringify(["oncekey:v1", scope, key, target, purpose]));
}

function keyOf(id: string, options: EncryptionOptions): EncryptionKey {
  const key = findKey(id, options);
  if (key === undefined) throw new DecryptionError("no key of the list has the record's key id");
  return key;
}

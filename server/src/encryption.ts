/** Encryption at rest: AES-256-GCM over what a record says, bound to whose record it is. */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from "node:crypto";
import type { StoredRecord, StoredResponse, Ticket } from "./store/store.ts";

/** One key. Its id is stored with each record that it writes. */
export interface EncryptionKey {
  /** 1–64 letters, digits, `_` or `-`. */
  readonly id: string;
  /** At least 32 bytes, such as `randomBytes(32)` or its base64 text. */
  readonly secret: string | Uint8Array;
}

export interface EncryptionOptions {
  /** The first one writes, all of them read. To rotate, put a new one first and take the old one out after one retention. */
  readonly keys: readonly EncryptionKey[];
}

/** A record that no key of the list opens: an unknown id, or it is not what was written for this ticket. */
class DecryptionError extends Error {
  override name = "DecryptionError";
}

/** The one header of a record whose content is encrypted: its value begins with the id of the key, up to a dot. */
export const SEALED = "oncekey-sealed";
const SALT_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export function isEncryptionKey(value: unknown): value is EncryptionKey {
  if (typeof value !== "object" || value === null) return false;
  const { id, secret } = value as Partial<EncryptionKey>;
  if (typeof id !== "string" || !/^[\w-]{1,64}$/.test(id)) return false;
  return (
    (typeof secret === "string" || secret instanceof Uint8Array) && Buffer.byteLength(secret) >= 32
  );
}

export function sealResponse(
  response: StoredResponse,
  key: EncryptionKey,
  ticket: Ticket,
): StoredResponse {
  const { status, body } = response;
  const head = JSON.stringify({
    headers: response.headers,
    fingerprint: ticket.fingerprint.toString("hex"),
  });
  return {
    status,
    headers: [[SEALED, sealText(head, key, ticket, `head:${status}`)]],
    body: body && seal(body, key, ticket, bodyPurpose(status, ticket.fingerprint)),
  };
}

export function openRecord(
  record: StoredRecord,
  options: EncryptionOptions,
  ticket: Ticket,
): StoredRecord {
  const { status, headers, body } = record.response;
  const sealed = headers.find(([name]) => name === SEALED)?.[1];
  if (sealed === undefined) throw new DecryptionError("the record is not encrypted");
  const head = JSON.parse(openText(sealed, options, ticket, `head:${status}`)) as {
    headers: [string, string][];
    fingerprint: string;
  };
  const [id = ""] = sealed.split(".", 1);
  const key = keyOf(id, options);
  const fingerprint = Buffer.from(head.fingerprint, "hex");
  if (!record.fingerprint.equals(mask(key, { ...ticket, fingerprint }))) {
    throw new DecryptionError("the record's fingerprint is not the one it was written with");
  }
  const opened = body && unseal(body, key, ticket, bodyPurpose(status, fingerprint));
  return { ...record, fingerprint, response: { status, headers: head.headers, body: opened } };
}

/** A record of a store without keys. @throws DecryptionError if it was written with one. */
export function requirePlain(record: StoredRecord): StoredRecord {
  if (!record.response.headers.some(([name]) => name === SEALED)) return record;
  throw new DecryptionError("the record is encrypted, and option encryption is not set");
}

function bodyPurpose(status: number, fingerprint: Buffer): string {
  return `body:${status}:${fingerprint.toString("hex")}`;
}

export function sealText(
  text: string,
  key: EncryptionKey,
  ticket: Ticket,
  purpose: string,
): string {
  return `${key.id}.${seal(Buffer.from(text), key, ticket, purpose).toString("base64")}`;
}

export function openText(
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

export function mask({ secret }: EncryptionKey, { fingerprint }: Ticket): Buffer {
  const key = Buffer.from(hkdfSync("sha256", secret, "", "oncekey:fingerprint:v1", 32));
  return Buffer.concat([
    fingerprint.subarray(0, 1),
    createHmac("sha256", key).update(fingerprint).digest(),
  ]);
}

function context({ scope, key, target }: Ticket, purpose: string): Buffer {
  return Buffer.from(JSON.stringify(["oncekey:v1", scope, key, target, purpose]));
}

export function writingKey({ keys: [first] }: EncryptionOptions): EncryptionKey {
  if (first === undefined) throw new RangeError("encryption.keys must not be empty");
  return first;
}

function keyOf(id: string, { keys }: EncryptionOptions): EncryptionKey {
  const key = keys.find((candidate) => candidate.id === id);
  if (key === undefined) throw new DecryptionError("no key of the list has the record's key id");
  return key;
}

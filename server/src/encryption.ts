/** Encryption at rest: AES-256-GCM over what a record says, bound to whose record it is. */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from "node:crypto";
import type {
  BeginOutcome,
  Claim,
  LookupOutcome,
  Store,
  StoredRecord,
  StoredResponse,
  Ticket,
  Unavailable,
} from "./store/store.ts";

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

/**
 * The same store, whose table says nothing without a key: headers, body and step results are encrypted, and the fingerprint is
 * keyed, because a plain digest of a short body can be guessed. A row's content opens only for its own scope, key, target and
 * status: rows cannot be swapped.
 */
export function encryptedStore(store: Store, options: EncryptionOptions): Store {
  const first = writingKey(options);
  const masked = (ticket: Ticket): Ticket => ({ ...ticket, fingerprint: mask(first, ticket) });
  // Whoever began it may have had another key in front.
  const maskIn = (fingerprint: Buffer, ticket: Ticket): Buffer | undefined =>
    options.keys.map((key) => mask(key, ticket)).find((other) => other.equals(fingerprint));

  function open<Outcome extends BeginOutcome | LookupOutcome>(
    outcome: Outcome,
    ticket: Ticket,
  ): Outcome {
    switch (outcome.kind) {
      case "claimed":
      case "crashed":
        return { ...outcome, claim: sealing(outcome.claim, options, ticket) };
      case "replay":
        return { ...outcome, record: openRecord(outcome.record, options, ticket) };
      case "in-flight": {
        // Only equality can be told of a keyed fingerprint, and only equality is asked.
        const { fingerprint } = outcome;
        const isSame = fingerprint === undefined || maskIn(fingerprint, ticket) !== undefined;
        return { ...outcome, fingerprint: isSame ? ticket.fingerprint : fingerprint };
      }
      case "conflict":
      case "absent":
      case "unknown":
      case "unavailable":
        return outcome;
      default:
        return outcome satisfies never;
    }
  }

  function opened<Outcome extends BeginOutcome | LookupOutcome>(
    outcome: Outcome,
    ticket: Ticket,
  ): Outcome | Unavailable {
    try {
      return open(outcome, ticket);
    } catch (cause) {
      return {
        kind: "unavailable",
        detail: "The stored response could not be decrypted",
        cause,
        isDone: true,
      };
    }
  }

  return {
    async begin(ticket, retentionMs) {
      const outcome = await store.begin(masked(ticket), retentionMs);
      const own = outcome.kind === "conflict" ? maskIn(outcome.fingerprint, ticket) : undefined;
      if (own === undefined) return opened(outcome, ticket);
      return opened(await store.begin({ ...ticket, fingerprint: own }, retentionMs), ticket);
    },
    lookup: async (ticket) => opened(await store.lookup(masked(ticket)), ticket),
    open: () => store.open(),
    sweep: (batchSize) => store.sweep(batchSize),
  };
}

function sealing(claim: Claim, options: EncryptionOptions, ticket: Ticket): Claim {
  const { steps } = claim;
  const key = writingKey(options);
  return {
    tx: claim.tx,
    attempt: claim.attempt,
    get signal() {
      return claim.signal;
    },
    steps: steps && {
      read(name) {
        const sealed = steps.read(name);
        return sealed === undefined ? undefined : openText(sealed, options, ticket, `step:${name}`);
      },
      write: (name, json) => steps.write(name, sealText(json, key, ticket, `step:${name}`)),
    },
    async complete(response, writes) {
      const completion = await claim.complete(sealResponse(response, key, ticket), writes);
      if (completion.kind !== "superseded") return completion;
      return { ...completion, record: openRecord(completion.record, options, ticket) };
    },
    release: (how) => claim.release(how),
  };
}

function sealResponse(
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

function openRecord(
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

function bodyPurpose(status: number, fingerprint: Buffer): string {
  return `body:${status}:${fingerprint.toString("hex")}`;
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

function mask({ secret }: EncryptionKey, { fingerprint }: Ticket): Buffer {
  const key = Buffer.from(hkdfSync("sha256", secret, "", "oncekey:fingerprint:v1", 32));
  return Buffer.concat([
    fingerprint.subarray(0, 1),
    createHmac("sha256", key).update(fingerprint).digest(),
  ]);
}

function context({ scope, key, target }: Ticket, purpose: string): Buffer {
  return Buffer.from(JSON.stringify(["oncekey:v1", scope, key, target, purpose]));
}

function writingKey({ keys: [first] }: EncryptionOptions): EncryptionKey {
  if (first === undefined) throw new RangeError("encryption.keys must not be empty");
  return first;
}

function keyOf(id: string, { keys }: EncryptionOptions): EncryptionKey {
  const key = keys.find((candidate) => candidate.id === id);
  if (key === undefined) throw new DecryptionError("no key of the list has the record's key id");
  return key;
}

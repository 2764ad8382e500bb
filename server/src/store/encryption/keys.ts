/** The encryption keys of a route. */

/** One key. Its id is stored with each record that it writes. */
export interface EncryptionKey {
  /** 1–64 letters, digits, `_` or `-`. */
  readonly id: string;
  /** At least 32 bytes, such as `randomBytes(32)` or its base64 text. */
  readonly secret: string | Uint8Array;
}

export interface EncryptionOptions {
  /**
   * The first one writes, all of them read. To rotate, in three deploys: add a new one as the last everywhere, move it to the front,
   * and take the old one out after one retention. A process answers 503 for what was written with a key that it does not have.
   */
  readonly keys: readonly EncryptionKey[];
  /**
   * Policy for plaintext records. `'reject'` (default: an attacker with write access to the table
   * could plant a plaintext answer): 503, and nothing runs. `'read'`: plaintext records, step
   * results and unfinished leases are read, and new ones are encrypted. Use it for one retention
   * after encryption was turned on.
   */
  readonly plaintext?: "reject" | "read";
}

export function isEncryptionKey(value: unknown): value is EncryptionKey {
  if (typeof value !== "object" || value === null) return false;
  const { id, secret } = value as Partial<EncryptionKey>;
  if (typeof id !== "string" || !/^[\w-]{1,64}$/.test(id)) return false;
  return (
    (typeof secret === "string" || secret instanceof Uint8Array) && Buffer.byteLength(secret) >= 32
  );
}

export function writingKey({ keys: [first] }: EncryptionOptions): EncryptionKey {
  if (first === undefined) throw new RangeError("encryption.keys must not be empty");
  return first;
}

export function findKey(id: string, { keys }: EncryptionOptions): EncryptionKey | undefined {
  return keys.find((key) => key.id === id);
}

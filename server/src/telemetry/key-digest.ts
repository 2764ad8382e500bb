/** Digests of keys: they join the log lines and events of one key, and cannot be reversed. */
import { createHmac, randomBytes } from "node:crypto";

type DigestSecret = string | Uint8Array;

let secret: DigestSecret = randomBytes(32);
let isGiven = false;

/**
 * Sets the secret of this process: an event of the store does not know the registration.
 *
 * @throws TypeError if another registration has set a different one.
 */
export function setDigestSecret(given: DigestSecret): void {
  if (isGiven && !Buffer.from(given).equals(Buffer.from(secret)))
    throw new TypeError("digestSecret must be the same in all registrations of a process");
  secret = given;
  isGiven = true;
}

/** Returns the digest of a key under the secret of this process. */
export function digestKey(key: string | undefined): string | undefined {
  return key === undefined ? undefined : keyDigest(key, secret);
}

/**
 * Returns the digest of a key as the plugin logs it with option `digestSecret`: 16 hexadecimal digits of HMAC-SHA256. For the
 * logs of other processes, such as a caller in Node.
 */
export function keyDigest(key: string, digestSecret: string | Uint8Array): string {
  return createHmac("sha256", digestSecret).update(key).digest("hex").slice(0, 16);
}

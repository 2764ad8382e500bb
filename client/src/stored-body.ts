/** For those who may not keep the bodies of their requests as they are. An entry of its own, for the size of its digest. */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import type { StoredBody } from "./storage/storage.ts";

export type { StoredBody } from "./storage/storage.ts";

// Not crypto.subtle, which plain-http origins do not have.
const digest = (text: string): string => bytesToHex(sha256(utf8ToBytes(text)));

/**
 * For `createClient`'s `storedBody`: no body is written down. The key is; so after a reload `run` with the same input goes on with
 * it, but `resume` alone cannot: it ends `unknown` with the code `input_required`.
 *
 * What tells two operations apart is kept as a SHA-256 digest. It hides a body that nobody can guess, and confirms one that
 * somebody can.
 */
export function omitBody(): StoredBody {
  return { seal: () => undefined, open: (sealed) => sealed, digest };
}

/** How bodies are sealed: functions of one's own, asynchronous or not. */
export interface SealOptions {
  readonly seal: (body: string) => string | Promise<string>;
  /** Throws where it cannot: then it is as if the body had been left out, and the key is kept all the same. */
  readonly open: (sealed: string) => string | Promise<string>;
}

/** For `createClient`'s `storedBody`: bodies are written down as `seal` returns them. What tells two operations apart is as with {@link omitBody}. */
export function sealBody({ seal, open }: SealOptions): StoredBody {
  if (typeof (seal as unknown) !== "function" || typeof (open as unknown) !== "function") {
    throw new TypeError("sealBody needs the functions seal and open");
  }
  return { seal, open, digest };
}

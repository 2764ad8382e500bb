/**
 * Stored bodies for applications that may not store their requests as they are: omitted or
 * encrypted.
 */
import type { StoredBody } from "./storage/storage.ts";

export type { StoredBody } from "./storage/storage.ts";

/**
 * Leaves bodies out of the storage, as `createClient`'s `storedBody`. The key is stored: after a reload `run` with the same input
 * goes on with it, but `resume` alone ends `unknown` with the code `input_required`.
 *
 * The identity of an operation is stored as a hash. It hides a body that cannot be guessed, and confirms one that can.
 */
export function omitBody(): StoredBody {
  return { seal: () => undefined, open: (sealed) => sealed };
}

/** Functions of the application that encrypt bodies, asynchronous or not. */
export interface SealOptions {
  readonly seal: (body: string) => string | Promise<string>;
  /** If it throws, the body counts as left out; the key is kept. */
  readonly open: (sealed: string) => string | Promise<string>;
}

/** Stores bodies as `seal` returns them, as `createClient`'s `storedBody`. The identity is hashed, as with {@link omitBody}. */
export function sealBody({ seal, open }: SealOptions): StoredBody {
  if (typeof (seal as unknown) !== "function" || typeof (open as unknown) !== "function") {
    throw new TypeError("sealBody needs the functions seal and open");
  }
  return { seal, open };
}

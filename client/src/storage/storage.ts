/** Storage for unfinished operations, so that a reload or a crash does not lose their key. */

/**
 * A store of strings by name: the four methods of React Native's AsyncStorage, synchronous or not. It holds request bodies too.
 */
export interface OperationStorage {
  getItem(name: string): string | null | Promise<string | null>;
  setItem(name: string, value: string): void | Promise<void>;
  removeItem(name: string): void | Promise<void>;
  getAllKeys(): readonly string[] | Promise<readonly string[]>;
  /**
   * Adds an entry unless the name is taken, in one step, and returns whether it did. So two contexts that share the storage without
   * a lock, such as two processes, have one key for one instance. Default: none; then the last one to write wins.
   */
  addItem?(name: string, value: string): boolean | Promise<boolean>;
  /** Keeps bytes as they are, under a name of their own. Default: none; then bytes are encoded as text. */
  setBytes?(name: string, bytes: Blob | Uint8Array<ArrayBuffer>): void | Promise<void>;
  /** Returns what `setBytes` kept; `null` if there is nothing. Needed with `setBytes`. */
  getBytes?(
    name: string,
  ): Blob | Uint8Array<ArrayBuffer> | null | Promise<Blob | Uint8Array<ArrayBuffer> | null>;
  /**
   * Names the storage among the tabs and workers of the origin, or threads of the process, that see it. They run an instance one at
   * a time, under a Web Lock. Default: none; then other contexts do not see it.
   */
  readonly sharedAs?: string | undefined;
  /** Names the records of this application. Default: the API's origin and prefix, so that two applications do not meet. */
  readonly namespace?: string | undefined;
}

/** Form of a stored body. Made by `omitBody()` or `sealBody()` of the entry `stored-body`. */
export interface StoredBody {
  /** Turns a body into text for the storage; `undefined` leaves it out. */
  readonly seal: (body: string) => string | undefined | Promise<string | undefined>;
  /** Turns the text back into the body. */
  readonly open: (sealed: string) => string | Promise<string>;
}

/** Where unfinished operations are kept, so that a reload or a crash does not lose their key. */

/**
 * A place for strings by name: the four methods of React Native's AsyncStorage, synchronous or not. What is kept there includes
 * the request's body.
 */
export interface OperationStorage {
  getItem(name: string): string | null | Promise<string | null>;
  setItem(name: string, value: string): void | Promise<void>;
  removeItem(name: string): void | Promise<void>;
  getAllKeys(): readonly string[] | Promise<readonly string[]>;
  /**
   * Keeps it unless something is kept under that name, in one step: of several at once one is told `true`. So two contexts that
   * share the place without taking turns, such as two processes, have one key for one instance. Default: the last one stays.
   */
  addItem?(name: string, value: string): boolean | Promise<boolean>;
  /**
   * What other tabs and workers of the origin, or threads of the process, call the same place: among them an instance then runs
   * once, under a Web Lock. Default: nobody else sees it.
   */
  readonly sharedAs?: string | undefined;
}

/** How the body of a request is kept there. Made by `omitBody()` or `sealBody()` of the entry `stored-body`. */
export interface StoredBody {
  /** Turns a body into text for the storage; `undefined` leaves it out. */
  readonly seal: (body: string) => string | undefined | Promise<string | undefined>;
  /** Turns it back. */
  readonly open: (sealed: string) => string | Promise<string>;
  /** Of what tells two operations apart, which may hold the body: the same text for the same, and another one for another. */
  readonly digest: (text: string) => string;
}

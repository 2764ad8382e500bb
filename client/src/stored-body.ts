/** How the body of a request is kept in the storage: as it is, sealed, or not at all. */

/** Made by `omitBody()` or `sealBody()`. */
export interface StoredBody {
  /** Turns a body into text for the storage; `undefined` leaves it out. */
  readonly seal: (body: string) => string | undefined | Promise<string | undefined>;
  /** Turns it back. */
  readonly open: (sealed: string) => string | Promise<string>;
  /** Of what tells two operations apart, which may hold the body: the same text for the same, and another one for another. */
  readonly digest: (text: string) => string;
}

/** Short names for records: hashes, so that neither a cart nor an address makes a name long. */
import { v5 } from "uuid";

/** Names the records of one client. */
export interface RecordNames {
  /** Returns the prefix of all names of this client. */
  readonly prefix: () => string;
  /** Returns the prefix of the names of one owner's records. */
  readonly prefixOf: (owner: string | undefined) => string;
  /** The name of the one live record of an instance. Serves as the name of its lock as well. */
  readonly nameOf: (owner: string | undefined, operation: string, instance: string) => string;
}

// Keeps these names apart from all other UUIDv5 of the same texts (RFC 9562 §5.5).
const NAMESPACE = "6f0d9d5e-6c1c-4f0e-9a4e-0b6d5f1c7a21";

/** The names of other programs do not begin like this. */
const MARK = "oncekey";

/** Hashes to 32 letters. A text has to be well-formed, as all JSON is. */
export function digest(content: string | Uint8Array): string {
  return v5(content, NAMESPACE).replaceAll("-", "");
}

/** @param namespaceOf names the API; called at the first use, because a page may not exist before. */
export function createRecordNames(namespaceOf: () => string): RecordNames {
  let known: string | undefined;
  const short = (text: unknown): string => digest(JSON.stringify([text])).slice(0, 16);
  const prefix = (): string => (known ??= `${MARK}:${short(namespaceOf())}:`);
  // A number is no user's name: it stands for no signed-in user.
  const prefixOf = (owner: string | undefined): string => `${prefix()}${short(owner ?? 0)}:`;
  return {
    prefix,
    prefixOf,
    nameOf: (owner, operation, instance) =>
      prefixOf(owner) + digest(JSON.stringify([operation, instance])),
  };
}

/** Short names for records: hashes, so that neither a cart nor an address makes a name long. */
/** Names the records of one client. */
export interface RecordNames {
  /** Returns the prefix of all names of this client. */
  readonly prefix: () => string;
  /** Returns the prefix of the names of one owner's records. */
  readonly prefixOf: (owner: string | undefined) => string;
  /** The name of the one live record of an instance. Serves as the name of its lock as well. */
  readonly nameOf: (owner: string | undefined, operation: string, instance: string) => string;
}

/** The names of other programs do not begin like this. */
const MARK = "oncekey";

// Odd factors of the four parts, and their starts: those of MurmurHash3 and xxHash32.
const FACTORS = [0x85ebca6b, 0xc2b2ae35, 0x27d4eb2f, 0x165667b1] as const;

/**
 * Hashes to 128 bits, written as 32 letters, in one pass: the identity of a large cart must not delay its click. Names need no
 * secret, because the record itself has what they stand for, and a SHA-1 would be a kilobyte of every page.
 */
export function digest(content: string | Uint8Array): string {
  const [f, g, h, i] = FACTORS;
  const isText = typeof content === "string";
  let [a, b, c, d]: [number, number, number, number] = [f ^ content.length, g, h, i];
  for (let at = 0; at < content.length; at += 1) {
    const code = isText ? content.charCodeAt(at) : (content[at] ?? 0);
    a = stir(a ^ code, f);
    b = stir(b ^ code, g);
    c = stir(c ^ code, h);
    d = stir(d ^ code, i);
  }
  // The last letters reach every bit as well.
  const end = (part: number): string => {
    const mixed = FACTORS.reduce((hash, factor) => stir(hash ^ (hash >>> 15), factor), part);
    return (mixed >>> 0).toString(16).padStart(8, "0");
  };
  return [a, b, c, d].map(end).join("");
}

function stir(hash: number, factor: number): number {
  const product = Math.imul(hash, factor);
  return (product << 13) | (product >>> 19);
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

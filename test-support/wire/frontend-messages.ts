/**
 * Reads the messages of a Postgres client (PostgreSQL manual, "Message Formats"), as far as to
 * distinguish statements from the rest.
 */

const LENGTH_BYTES = 4;
const BIND = "B".charCodeAt(0);
const EXECUTE = "E".charCodeAt(0);
const PARSE = "P".charCodeAt(0);
const SIMPLE_QUERY = "Q".charCodeAt(0);

/** Messages that a chunk completes. */
export interface FrontendMessages {
  readonly statements: number;
  /** Statements that Postgres is to parse, named or not. */
  readonly parses: number;
  /** Texts of the prepared statements that are bound. */
  readonly bound: readonly string[];
}

/** For one connection, from its first byte: takes chunks as they come, and counts the messages that each one completes. */
export function createMessageCounter(): (chunk: Buffer) => FrontendMessages {
  let unread: Buffer = Buffer.alloc(0);
  // The first message, which opens the session, has a length but no type.
  let typeBytes = 0;
  const prepared = new Map<string, string>();
  return (chunk) => {
    unread = Buffer.concat([unread, chunk]);
    let statements = 0;
    let parses = 0;
    const bound: string[] = [];
    while (unread.length >= typeBytes + LENGTH_BYTES) {
      const end = typeBytes + unread.readInt32BE(typeBytes);
      if (unread.length < end) break;
      const type = typeBytes === 0 ? undefined : unread[0];
      if (type === EXECUTE || type === SIMPLE_QUERY) statements += 1;
      if (type === PARSE) {
        parses += 1;
        const [name = "", text = ""] = stringsOf(unread.subarray(typeBytes + LENGTH_BYTES, end));
        prepared.set(name, text);
      }
      if (type === BIND) {
        const [, name = ""] = stringsOf(unread.subarray(typeBytes + LENGTH_BYTES, end));
        bound.push(prepared.get(name) ?? "");
      }
      unread = unread.subarray(end);
      typeBytes = 1;
    }
    return { statements, parses, bound };
  };
}

/** Returns the two strings that Parse (name, text) and Bind (portal, name) begin with. */
function stringsOf(content: Buffer): string[] {
  const first = content.indexOf(0);
  const second = content.indexOf(0, first + 1);
  return [content.toString("utf8", 0, first), content.toString("utf8", first + 1, second)];
}

/**
 * Reads the messages of a Postgres client (PostgreSQL manual, "Message Formats"), as far as to
 * distinguish statements from the rest.
 */

const LENGTH_BYTES = 4;
const EXECUTE = "E".charCodeAt(0);
const PARSE = "P".charCodeAt(0);
const SIMPLE_QUERY = "Q".charCodeAt(0);

/** Messages that a chunk completes. */
export interface FrontendMessages {
  readonly statements: number;
  /** Statements that Postgres is to parse, named or not. */
  readonly parses: number;
}

/** For one connection, from its first byte: takes chunks as they come, and counts the messages that each one completes. */
export function createMessageCounter(): (chunk: Buffer) => FrontendMessages {
  let unread: Buffer = Buffer.alloc(0);
  // The first message, which opens the session, has a length but no type.
  let typeBytes = 0;
  return (chunk) => {
    unread = Buffer.concat([unread, chunk]);
    let statements = 0;
    let parses = 0;
    while (unread.length >= typeBytes + LENGTH_BYTES) {
      const end = typeBytes + unread.readInt32BE(typeBytes);
      if (unread.length < end) break;
      const type = typeBytes === 0 ? undefined : unread[0];
      if (type === EXECUTE || type === SIMPLE_QUERY) statements += 1;
      if (type === PARSE) parses += 1;
      unread = unread.subarray(end);
      typeBytes = 1;
    }
    return { statements, parses };
  };
}

/** Several statements in one protocol batch: one round trip to Postgres, one Sync, on a stock `pg` connection. */
import type { Connection, PoolClient, Submittable } from "pg";
import { encodeBatch } from "./encode.ts";
import type { Value } from "./encode.ts";
import type { Session } from "./session.ts";

export interface Statement {
  readonly text: string;
  readonly values?: readonly Value[];
  /** Whether the best plan depends on the values: then the statement gets no name, and each use a plan of its own. */
  readonly isPlannedAnew?: true;
}

/** Values arrive as Postgres wrote them, in text form. */
export type Row = readonly (string | null)[];

export interface StatementResult {
  readonly rows: readonly Row[];
  /** The command tag: `INSERT 0 1`, `COMMIT`. */
  readonly tag: string;
}

/** A client, and what is known of its session. */
export interface Line {
  readonly client: PoolClient;
  readonly session: Session;
}

/**
 * Sends the statements together and resolves with one result each. An error in one skips all that follow it, up to the Sync.
 * Statements are named and prepared once for a connection if its pool keeps names, otherwise unnamed.
 *
 * @throws the first error: a `DatabaseError`, or the connection's own.
 */
export function sendBatch(
  line: Line,
  statements: readonly Statement[],
): Promise<readonly StatementResult[]> {
  const { client } = line;
  if (client.pipeline) return sendPipelined(client, statements);
  return new Promise((resolve, reject) => {
    client.query(new Batch(statements, line, resolve, reject));
  });
}

/** The parts of `pg`'s connection that a batch needs. */
interface WireConnection {
  readonly stream: { readonly writable: boolean; write(bytes: Buffer): void };
  sendCopyFail(reason: string): void;
}

/** A query object of node-postgres, by the contract that pg-cursor and pg-query-stream rely on. */
class Batch implements Submittable {
  readonly statements: readonly Statement[];
  // A property that pg may wrap: that is how the pool's `query_timeout` reaches this query.
  callback: (error: unknown) => void;
  readonly #session: Session;
  /** Whether the batch goes on with a transaction, whose earlier statements an error takes along. */
  readonly #continues: boolean;
  readonly #results: StatementResult[] = [];
  #rows: Row[] = [];

  constructor(
    statements: readonly Statement[],
    { client, session }: Line,
    resolve: (results: readonly StatementResult[]) => void,
    reject: (error: unknown) => void,
  ) {
    this.statements = statements;
    this.#session = session;
    this.#continues = client.getTransactionStatus() === "T";
    this.callback = (error) => (error === null ? resolve(this.#results) : reject(error));
  }

  submit(connection: Connection): void {
    const { stream } = connection as unknown as WireConnection;
    if (stream.writable) stream.write(encodeBatch(this.statements, this.#session.names));
  }

  handleDataRow({ fields }: { readonly fields: Row }): void {
    this.#rows.push(fields);
  }

  handleCommandComplete({ text }: { readonly text: string }): void {
    this.#results.push({ rows: this.#rows, tag: text });
    this.#rows = [];
  }

  handleError(error: unknown): void {
    const { names } = this.#session;
    if (this.#continues && codeOf(error) === LOST_STATEMENT) names.giveUp();
    else names.forget();
    this.callback(error);
  }

  handleReadyForQuery(): void {
    this.callback(null);
  }

  handleCopyInResponse(connection: WireConnection): void {
    connection.sendCopyFail("not a copy");
  }

  // No portal is described, paged or empty here, so none of these carries anything.
  handleRowDescription(): void {}
  handleEmptyQuery(): void {}
  handlePortalSuspended(): void {}
  handleCopyData(): void {}
}

/** The SQLSTATE of a named statement that the session does not have. */
export const LOST_STATEMENT = "26000";

function codeOf(error: unknown): unknown {
  return typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
}

// With `pipeline: true` pg refuses query objects and sends each statement behind the last by itself, a Sync after each.
// Then a COMMIT follows a failed statement and is answered ROLLBACK: the caller checks the tag.
async function sendPipelined(
  client: PoolClient,
  statements: readonly Statement[],
): Promise<readonly StatementResult[]> {
  const sent = statements.map(({ text, values = [] }) =>
    client.query<(string | null)[]>({ text, values: [...values], rowMode: "array", types: TEXT }),
  );
  const settled = await Promise.allSettled(sent);
  return settled.map((result) => {
    if (result.status === "rejected") throw result.reason;
    const { rows, command, rowCount } = result.value;
    return { rows, tag: [tagOf(command), rowCount].filter((part) => part !== null).join(" ") };
  });
}

// pg takes the tag apart. The tag of an INSERT has an object id before its count, which is always 0 (PostgreSQL manual, "Message Formats").
function tagOf(command: string): string {
  return command === "INSERT" ? "INSERT 0" : command;
}

const TEXT = { getTypeParser: () => (value: string) => value };

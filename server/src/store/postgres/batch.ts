/** Several statements in one protocol batch: one flight to Postgres, one Sync, on a stock `pg` connection. */
import type { Connection, PoolClient, Submittable } from "pg";

export interface Statement {
  readonly text: string;
  readonly values?: readonly (string | Buffer | null)[];
}

/** Values arrive as Postgres wrote them, in text form. */
export type Row = readonly (string | null)[];

export interface StatementResult {
  readonly rows: readonly Row[];
  /** The command tag: `INSERT 0 1`, `COMMIT`. */
  readonly tag: string;
}

/**
 * Sends the statements together and resolves with one result each. An error in one skips all that follow it, up to the Sync.
 * Statements are unnamed: a pooler in transaction mode may give every batch another server connection.
 *
 * @throws the first error: a `DatabaseError`, or the connection's own.
 */
export function sendBatch(
  client: PoolClient,
  statements: readonly Statement[],
): Promise<readonly StatementResult[]> {
  if (client.pipeline) return sendPipelined(client, statements);
  return new Promise((resolve, reject) => {
    client.query(createBatch(statements, resolve, reject));
  });
}

/** A query object of node-postgres, by the contract that pg-cursor and pg-query-stream rely on. */
interface BatchQuery extends Submittable {
  callback: (error: unknown) => void;
  handleRowDescription(): void;
  handleDataRow(message: { readonly fields: Row }): void;
  handleCommandComplete(message: { readonly text: string }): void;
  handleEmptyQuery(): void;
  handlePortalSuspended(): void;
  handleCopyInResponse(connection: WireConnection): void;
  handleCopyData(): void;
  handleError(error: unknown): void;
  handleReadyForQuery(): void;
}

/** The messages of `pg`'s connection as it takes them; its published types still ask for an argument it dropped. */
interface WireConnection {
  readonly stream: { cork(): void; uncork(): void };
  parse(message: { text: string; name: string; types: number[] }): void;
  bind(message: { portal: string; statement: string; binary: boolean; values: unknown[] }): void;
  execute(message: { portal: string; rows: number }): void;
  sync(): void;
  sendCopyFail(reason: string): void;
}

function createBatch(
  statements: readonly Statement[],
  resolve: (results: readonly StatementResult[]) => void,
  reject: (error: unknown) => void,
): BatchQuery {
  const results: StatementResult[] = [];
  let rows: Row[] = [];
  return {
    // A property that pg may wrap: that is how the pool's `query_timeout` reaches this query.
    callback: (error) => (error === null ? resolve(results) : reject(error)),
    submit: (connection) => write(asWire(connection), statements),
    handleDataRow: ({ fields }) => void rows.push(fields),
    handleCommandComplete({ text }) {
      results.push({ rows, tag: text });
      rows = [];
    },
    handleError(error) {
      this.callback(error);
    },
    handleReadyForQuery() {
      this.callback(null);
    },
    handleCopyInResponse: (connection) => connection.sendCopyFail("not a copy"),
    // No portal is described, paged or empty here, so none of these carries anything.
    handleRowDescription() {},
    handleEmptyQuery() {},
    handlePortalSuspended() {},
    handleCopyData() {},
  };
}

function write(connection: WireConnection, statements: readonly Statement[]): void {
  connection.stream.cork();
  try {
    for (const { text, values = [] } of statements) {
      connection.parse({ text, name: "", types: [] });
      connection.bind({ portal: "", statement: "", binary: false, values: [...values] });
      connection.execute({ portal: "", rows: 0 });
    }
    connection.sync();
  } finally {
    connection.stream.uncork();
  }
}

function asWire(connection: Connection): WireConnection {
  return connection as unknown as WireConnection;
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

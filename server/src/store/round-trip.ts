/** Runs the store's statements on a connection of the pool, in as few round trips as possible. */
import type { Statement, StatementResult } from "./postgres/batch.ts";
import { detailOf, NO_ANSWER } from "./postgres/connection.ts";
import type { Connect, Connection } from "./postgres/connection.ts";
import { readRecord } from "./record.ts";
import type { StoreParts } from "./store-parts.ts";
import type { StoredRecord, Unavailable } from "./store.ts";
import { abandon, askToBegin, askToEnd, isSessionAlive } from "./postgres/transaction.ts";

/** Takes a connection for `use`, which gives it back. A failure is returned as a value. */
export async function withConnection<Outcome>(
  connect: Connect,
  use: (connection: Connection) => Promise<Outcome>,
): Promise<Outcome | Unavailable> {
  let connection: Connection;
  try {
    connection = await connect();
  } catch (cause) {
    return { kind: "unavailable", detail: detailOf(cause), cause };
  }
  try {
    return await use(connection);
  } catch (cause) {
    // Postgres refused a statement: the session is whole, and a waiter whose lock times out must not cost a connection.
    if (isSessionAlive(cause)) await abandon(connection);
    else connection.release("destroy");
    return { kind: "unavailable", detail: NO_ANSWER, cause };
  }
}

/** One transaction in one batch, on a connection that is given back before the answer is used. */
export function inOneRoundTrip<Outcome>(
  { statements, connect }: StoreParts,
  batch: readonly Statement[],
  end: "commit" | "rollback",
  read: (results: readonly StatementResult[], askedAt: number) => Outcome,
): Promise<Outcome | Unavailable> {
  return withConnection(connect, async (connection) => {
    const askedAt = performance.now();
    const results = await askToEnd(
      connection,
      [...statements.begin, ...batch, { text: end }],
      askToBegin,
    );
    const outcome = read(results.slice(statements.begin.length), askedAt);
    connection.release();
    return outcome;
  });
}

/** Returns the record in the answer of a look-up, as it stands in the table: the codec opens it. */
export function recordIn(
  result: StatementResult | undefined,
  askedAt: number,
): StoredRecord | undefined {
  const row = result?.rows[0];
  // Some statements answer with a row in any case: without a record its status is null.
  return row === undefined || row[1] === null ? undefined : readRecord(row, askedAt);
}

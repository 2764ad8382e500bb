/** The two kinds of claim that hold the handler's transaction: one stores a record in it, the other only commits. */
import type { PoolClient } from "pg";
import type { Statement } from "../postgres/batch.ts";
import type { Connection } from "../postgres/connection.ts";
import { createHandlerClient } from "../postgres/handler-client.ts";
import { openSuperseded } from "../record-codec.ts";
import type { RecordCodec } from "../record-codec.ts";
import { readRecord, recordValues, ticketValues } from "../record.ts";
import type { Statements } from "../sql/statements.ts";
import type { Completion, Release, Retention, StoredResponse, Ticket, Writes } from "../store.ts";
import { EndingClaim } from "../ending-claim.ts";
import {
  abandon,
  ask,
  commit,
  FailedTransactionError,
  sqlState,
  isTransient,
  terminate,
} from "../postgres/transaction.ts";
import type { CommitOutcome } from "../postgres/transaction.ts";

/** The parts of a claim that its strategy knows before it asks the database. */
export interface ClaimParts {
  readonly statements: Statements;
  readonly codec: RecordCodec;
  readonly ticket: Ticket;
  /** The ticket's fingerprint as it is to stand in the row. */
  readonly fingerprint: Buffer;
  readonly retention: Retention;
  /** Takes the claim's lock again in a new transaction, unless the lock is on the stored row. Never waits. */
  readonly relock?: Statement;
}

/** A claim that holds the transaction of its handler. */
abstract class TransactionClaim extends EndingClaim {
  readonly tx: PoolClient;
  protected readonly connection: Connection;
  /** Closes `tx`, before the transaction is ended. */
  protected readonly closeTx: () => void;
  // A transaction that was rolled back left nothing that could count it.
  readonly attempt = 1;
  readonly steps = undefined;
  readonly lastWrites = undefined;

  constructor(connection: Connection) {
    super();
    this.connection = connection;
    const { tx, close } = createHandlerClient(connection.client);
    this.tx = tx;
    this.closeTx = close;
  }

  get signal(): AbortSignal {
    return this.connection.signal();
  }

  protected async giveBack(how: Release): Promise<string | undefined> {
    this.closeTx();
    if (how === "timed-out") return terminate(this.connection);
    await abandon(this.connection);
    return undefined;
  }
}

/** A claim whose `complete` commits the handler's writes and the record together. */
export class RecordedClaim extends TransactionClaim {
  readonly #parts: ClaimParts;

  constructor(connection: Connection, parts: ClaimParts) {
    super(connection);
    this.#parts = parts;
  }

  protected async store(response: StoredResponse, writes: Writes): Promise<Completion> {
    const { connection } = this;
    const { statements, codec, ticket, fingerprint, retention } = this.#parts;
    this.closeTx();
    const store = {
      text: statements.store,
      values: recordValues(ticket, fingerprint, codec.seal(response, ticket), retention),
    };
    const askedAt = performance.now();
    const split = connection.client.getTransactionStatus() === "I";
    const isAfresh = writes === "discard" || split;
    let outcome = await commit(connection, isAfresh ? [...restart(this.#parts), store] : [store]);
    // A handler that caught an SQL error and answered 4xx left a failed transaction: its writes are gone either way.
    if (response.status >= 400 && isFailedTransaction(outcome)) {
      outcome = await commit(connection, [...restart(this.#parts), store]);
    }
    if (outcome.kind === "committed") {
      connection.release();
      return {
        kind: "stored",
        lifetimeMs: retention.retentionMs,
        fenceMs: retention.fenceMs,
        askedAt,
        split,
      };
    }
    return outcome.kind === "rolled-back" && isFence(outcome.cause)
      ? supersededBy(connection, this.#parts)
      : finish(connection, outcome);
  }
}

/** A claim without a ticket: its `complete` commits the handler's writes and stores nothing. */
export class UnrecordedClaim extends TransactionClaim {
  protected async store(response: StoredResponse, writes: Writes): Promise<Completion> {
    const { connection } = this;
    this.closeTx();
    if (writes === "discard") {
      await abandon(connection);
      return { kind: "stored", lifetimeMs: 0, fenceMs: 0, askedAt: 0, split: false };
    }
    const outcome = await commit(connection, []);
    // As with a record: a final answer stands where an SQL error that the handler caught has undone its writes.
    const isRefused = response.status >= 400 && isFailedTransaction(outcome);
    if (outcome.kind !== "committed" && !isRefused) return finish(connection, outcome);
    connection.release();
    return { kind: "stored", lifetimeMs: 0, fenceMs: 0, askedAt: 0, split: false };
  }
}

// A new transaction in the same batch. The lock is free for a moment in between; the fence is not. So whether the lock was got again
// is not asked: it keeps newcomers out, and of two that store, the second one's statement fails.
function restart({ statements, relock }: ClaimParts): Statement[] {
  const again = relock === undefined ? [] : [relock];
  return [{ text: "rollback" }, ...statements.open, ...again];
}

/** Gives the connection of a transaction back that was not committed, and returns what became of it. */
export async function finish(
  connection: Connection,
  outcome: Exclude<CommitOutcome, { kind: "committed" }>,
): Promise<Extract<Completion, { kind: "rolled-back" | "unknown" }>> {
  if (outcome.kind === "unknown") {
    connection.release("destroy");
    return outcome;
  }
  // An error that ends the session is a PANIC (disk full while the log is written): the COMMIT may be in the log before it. The
  // severity does not help, because the server translates it.
  const isAlive = await abandon(connection);
  if (!isAlive) return { kind: "unknown", cause: outcome.cause };
  // The transaction had failed before: what counts is the error that the handler caught.
  const cause = isFailedTransaction(outcome)
    ? (connection.session.lastError ?? outcome.cause)
    : outcome.cause;
  return isTransient(cause)
    ? { kind: "rolled-back", cause }
    : { kind: "rolled-back", cause, isFinal: true };
}

async function supersededBy(
  connection: Connection,
  { statements, codec, ticket }: ClaimParts,
): Promise<Completion> {
  const askedAt = performance.now();
  try {
    const [, found] = await ask(connection, [
      { text: "rollback" },
      { text: statements.lookup, values: ticketValues(ticket) },
    ]);
    connection.release();
    const row = found?.rows[0];
    if (row !== undefined) {
      const superseded = { kind: "superseded", record: readRecord(row, askedAt) } as const;
      return openSuperseded(superseded, ticket, codec);
    }
    return { kind: "rolled-back", cause: new Error("the record that was in the way has expired") };
  } catch (cause) {
    connection.release("destroy");
    return { kind: "rolled-back", cause };
  }
}

// 25P02: an earlier statement of the handler had failed, and Postgres took no further one. Without
// a failed statement before it, a COMMIT shows the failure by its tag.
function isFailedTransaction(outcome: CommitOutcome): boolean {
  if (outcome.kind !== "rolled-back") return false;
  return outcome.cause instanceof FailedTransactionError || sqlState(outcome.cause) === "25P02";
}

// 23502, not-null violation, on the column that the `store` statement sets to null where a live record stands.
function isFence(error: unknown): boolean {
  if (sqlState(error) !== "23502" || !(error instanceof Error)) return false;
  return "column" in error && error.column === "fingerprint";
}

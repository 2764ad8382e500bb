/** The two kinds of claim that hold the handler's transaction: one stores a record in it, the other only commits. */
import type { Statement } from "../postgres/batch.ts";
import type { Lease } from "../postgres/connection.ts";
import { readRecord, recordValues, ticketValues } from "../record.ts";
import type { Statements } from "../sql/statements.ts";
import type { Claim, Completion, StoredResponse, Ticket, Writes } from "../store.ts";
import { abandon, ask, commit, FailedTransactionError, sqlState } from "../postgres/transaction.ts";
import type { CommitOutcome } from "../postgres/transaction.ts";

/** What a claim is made of, as its strategy knows it before it asks. */
export interface Claimed {
  readonly statements: Statements;
  readonly ticket: Ticket;
  readonly retentionMs: number;
  /** Takes the claim's lock again in a new transaction, where it is no lock on the row that is stored. Never waits. */
  readonly relock?: Statement;
}

interface RecordedClaim extends Claimed {
  readonly lease: Lease;
}

/** A claim whose `complete` commits the handler's writes and the record together. */
export function createRecordedClaim(parts: RecordedClaim): Claim {
  const { lease, statements, ticket, retentionMs } = parts;
  const { client } = lease;

  async function complete(response: StoredResponse, writes: Writes): Promise<Completion> {
    lease.seal();
    const store = {
      text: statements.store,
      values: recordValues(ticket, response, retentionMs),
    };
    const askedAt = performance.now();
    const split = client.getTransactionStatus() === "I";
    const afresh = [...restart(parts), store];
    let outcome = await commit(client, writes === "discard" || split ? afresh : [store]);
    // A handler that caught an SQL error and answered 4xx left a failed transaction: its writes are gone either way.
    if (response.status >= 400 && isFailedTransaction(outcome)) {
      outcome = await commit(client, afresh);
    }
    if (outcome.kind === "committed") {
      lease.release();
      return { kind: "stored", lifetimeMs: retentionMs, askedAt, split };
    }
    return outcome.kind === "rolled-back" && isFence(outcome.cause)
      ? supersededBy(parts)
      : finish(lease, outcome);
  }

  return { ...inTransaction(lease), complete };
}

/** A claim without a ticket: its `complete` commits the handler's writes and stores nothing. */
export function createUnrecordedClaim(lease: Lease): Claim {
  return {
    ...inTransaction(lease),
    async complete(response, writes) {
      lease.seal();
      if (writes === "discard") {
        await abandon(lease);
        return { kind: "stored", lifetimeMs: 0, askedAt: 0, split: false };
      }
      const outcome = await commit(lease.client, []);
      // As with a record: a final answer stands where an SQL error that the handler caught has undone its writes.
      const isRefused = response.status >= 400 && isFailedTransaction(outcome);
      if (outcome.kind !== "committed" && !isRefused) return finish(lease, outcome);
      lease.release();
      return { kind: "stored", lifetimeMs: 0, askedAt: 0, split: false };
    },
  };
}

function inTransaction(lease: Lease): Omit<Claim, "complete"> {
  return {
    tx: lease.view,
    // A transaction that was rolled back left nothing that could count it.
    attempt: 1,
    get signal() {
      return lease.signal();
    },
    steps: undefined,
    async release() {
      lease.seal();
      await abandon(lease);
    },
  };
}

// A new transaction in the same batch. The lock is free for a moment in between; the fence is not. So whether the lock was got again
// is not asked: it keeps newcomers out, and of two that store, the second one's statement fails.
function restart({ statements, relock }: Claimed): Statement[] {
  const again = relock === undefined ? [] : [relock];
  return [{ text: "rollback" }, ...statements.open, ...again];
}

async function finish(
  lease: Lease,
  outcome: Exclude<CommitOutcome, { kind: "committed" }>,
): Promise<Completion> {
  if (outcome.kind === "unknown") {
    lease.release("destroy");
    return outcome;
  }
  // An error that the session did not survive is no ERROR but a PANIC, under whatever code (disk full while the log is written):
  // the COMMIT may be in the log before it. The severity cannot tell them apart, for it is sent in the server's language.
  const isAlive = await abandon(lease);
  return isAlive ? outcome : { kind: "unknown", cause: outcome.cause };
}

async function supersededBy({ lease, statements, ticket }: RecordedClaim): Promise<Completion> {
  const askedAt = performance.now();
  try {
    const [, found] = await ask(lease.client, [
      { text: "rollback" },
      { text: statements.lookup, values: ticketValues(ticket) },
    ]);
    lease.release();
    const row = found?.rows[0];
    if (row !== undefined) return { kind: "superseded", record: readRecord(row, askedAt) };
    return { kind: "rolled-back", cause: new Error("the record that was in the way has expired") };
  } catch (cause) {
    lease.release("destroy");
    return { kind: "rolled-back", cause };
  }
}

// 25P02: an earlier statement of the handler had failed, and Postgres took no further one. A COMMIT without one before it says so by its tag.
function isFailedTransaction(outcome: CommitOutcome): boolean {
  if (outcome.kind !== "rolled-back") return false;
  return outcome.cause instanceof FailedTransactionError || sqlState(outcome.cause) === "25P02";
}

// 23502, not-null violation, on the column that the `store` statement sets to null where a live record stands.
function isFence(error: unknown): boolean {
  if (sqlState(error) !== "23502" || !(error instanceof Error)) return false;
  return "column" in error && error.column === "fingerprint";
}

/** Checked begin and commit: what a transaction did is read from its command tags, its notices and a clock of our own. */
import { LOST_STATEMENT, sendBatch } from "./batch.ts";
import type { Line, Statement, StatementResult } from "./batch.ts";
import { withDeadline } from "../../async/deadline.ts";
import type { Connection } from "./connection.ts";
import type { DatabaseError } from "pg";

/** The end of a commit. `unknown`: it may stand or not; nothing may be concluded from it. */
export type CommitOutcome =
  | { readonly kind: "committed" }
  | { readonly kind: "rolled-back"; readonly cause: unknown }
  | { readonly kind: "unknown"; readonly cause: unknown };

/** Postgres did not answer in time. The connection it was asked on must be destroyed. */
class DatabaseTimeoutError extends Error {
  override name = "DatabaseTimeoutError";
}

/** Committed on this node, and not where it was promised to be as well: a failover may lose it. */
export class LocalCommitError extends Error {
  override name = "LocalCommitError";
  constructor() {
    super("committed on one node only");
  }
}

/** The handler had longer than `maxHandlerMs`. */
export class HandlerTimeoutError extends Error {
  override name = "HandlerTimeoutError";
  constructor() {
    super("the handler did not finish within maxHandlerMs");
  }
}

/** A statement of the transaction had failed, so that COMMIT was answered with ROLLBACK. */
export class FailedTransactionError extends Error {
  override name = "FailedTransactionError";
}

// No server timeout ends a COMMIT that waits for a synchronous standby or runs over a dead
// connection. 10 s is above any healthy commit and below our client's attempt timeout of 15 s.
const ANSWER_MS = 10_000;

/** Sends one batch, bounded by a timer on this side of the line. */
export function ask(
  line: Line,
  statements: readonly Statement[],
): Promise<readonly StatementResult[]> {
  return withDeadline(sendBatch(line, statements), ANSWER_MS, refuseToWait);
}

/**
 * Sends a batch that begins its transaction. If a prepared statement was lost or its plan is out of date, no statement of the
 * batch stands. Then the batch is sent again, and every statement is prepared anew.
 */
export async function askToBegin(
  line: Line,
  statements: readonly Statement[],
): Promise<readonly StatementResult[]> {
  try {
    return await ask(line, statements);
  } catch (error) {
    if (!isStale(error)) throw error;
    // Whether the transaction had begun by then is not known: outside of one a ROLLBACK is a warning.
    const [, ...results] = await ask(line, [{ text: "rollback" }, ...statements]);
    return results;
  }
}

// A lost statement, as after DISCARD ALL. 0A000: "cached plan must not change result type", as after a migration.
function isStale(error: unknown): boolean {
  const state = sqlState(error);
  return state === LOST_STATEMENT || state === "0A000";
}

/**
 * Sends one batch that ends its transaction.
 *
 * @param send {@link askToBegin} if the batch also begins it.
 * @throws LocalCommitError if Postgres reports that it committed without the standby.
 */
export async function askToEnd(
  line: Line,
  statements: readonly Statement[],
  send: typeof ask = ask,
): Promise<readonly StatementResult[]> {
  const { session } = line;
  session.isLocalCommit = false;
  try {
    const results = await send(line, statements);
    if (!session.isLocalCommit) return results;
  } catch (error) {
    if (!session.isLocalCommit) throw error;
  }
  throw new LocalCommitError();
}

/** Awaits an answer of the database for as long as one may take. @throws DatabaseTimeoutError after that. */
export function inTime<Answer>(asked: Promise<Answer>): Promise<Answer> {
  return withDeadline(asked, ANSWER_MS, refuseToWait);
}

function refuseToWait(): never {
  throw new DatabaseTimeoutError(`the database did not answer within ${ANSWER_MS} ms`);
}

/**
 * Sends `before` and COMMIT as one batch with one Sync: an error in `before` skips the COMMIT. Never throws, and does not give
 * the connection back.
 */
export async function commit(line: Line, before: readonly Statement[]): Promise<CommitOutcome> {
  try {
    const results = await askToEnd(line, [...before, { text: "commit" }]);
    const tag = results.at(-1)?.tag;
    if (tag === "COMMIT") return { kind: "committed" };
    const cause = new FailedTransactionError(`COMMIT was answered with ${tag}`);
    return { kind: "rolled-back", cause };
  } catch (cause) {
    return { kind: isCleanFailure(cause) ? "rolled-back" : "unknown", cause };
  }
}

/**
 * Rolls back and gives the connection back; one that does not answer is destroyed, which rolls back as well. Never throws.
 *
 * @returns whether the session was still there.
 */
export async function abandon(connection: Connection): Promise<boolean> {
  try {
    await ask(connection, [{ text: "rollback" }]);
    connection.release();
    return true;
  } catch {
    connection.release("destroy");
    return false;
  }
}

// Finds a handler's deadlock with itself: a statement of its process that waits on another
// connection.
const FIND_BLOCKED = `select left(query, 1000) from pg_stat_activity
  where pg_backend_pid() = any(pg_blocking_pids(pid)) order by query_start limit 1`;
const FIND_BLOCKED_MS = 1_000;

/**
 * Ends the transaction of a handler that had its time: aborts the signal, cancels a running statement, rolls back, and gives the
 * connection back. Never throws.
 *
 * @returns a statement on another connection that waited for this transaction, its literals replaced by `?`.
 */
export async function terminate(connection: Connection): Promise<string | undefined> {
  connection.abort(new HandlerTimeoutError());
  if (connection.isBusy()) {
    await connection.cancel();
    return undefined;
  }
  const looking = sendBatch(connection, [{ text: FIND_BLOCKED }]).catch(() => []);
  const found = await withDeadline(looking, FIND_BLOCKED_MS, () => "late" as const);
  if (found === "late") {
    connection.release("destroy");
    return undefined;
  }
  await abandon(connection);
  return withoutLiterals(found[0]?.rows[0]?.[0] ?? undefined);
}

function withoutLiterals(text: string | undefined): string | undefined {
  return text?.replaceAll(/'[^']*'|\b\d+(\.\d+)?\b/g, "?").slice(0, 200);
}

/** The SQLSTATE of an error that Postgres sent, `undefined` for any other. */
export function sqlState(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error) || !("severity" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

// The context of a wait for the transaction of a row names the row by its place, as in `while inserting index tuple (0,1) in
// relation "records_pkey"`, whatever the language.
const PLACE_OF_ROW = /\(\d+,\d+\)/;

/**
 * Returns what a statement gave up waiting for (SQLSTATE 55P03): a `row` that another transaction has written, or the lock of a
 * `table`. A partition that comes or goes has such a lock. `undefined` for any other error.
 */
export function gaveUpOn(error: unknown): "row" | "table" | undefined {
  if (sqlState(error) !== "55P03") return undefined;
  return PLACE_OF_ROW.test(String((error as DatabaseError).where)) ? "row" : "table";
}

/** Whether an answer is missing because the line or the session broke, so that what was asked may have been done. */
export function isConnectionFailure(error: unknown): boolean {
  const state = sqlState(error);
  return state === undefined || state.startsWith("08") || state.startsWith("57P");
}

// Conflicts (40), resources (53), locks (55), operators (57), the line (08), the system (58, XX), a primary that is none any more and
// a lost statement.
const TRANSIENT = /^(08|40|53|55|57|58|XX|25006|25P03|25P04|26000)/;

/** Whether the same statements may succeed when they are sent again. */
export function isTransient(error: unknown): boolean {
  const state = sqlState(error);
  return state === undefined || TRANSIENT.test(state);
}

/** Whether Postgres refused a statement and the session goes on. */
export function isSessionAlive(error: unknown): boolean {
  const state = sqlState(error);
  if (state === undefined || state === "25P03" || state === "25P04") return false;
  return !/^(08|57P|58|XX)/.test(state);
}

// Whether Postgres reported an ERROR that rolled the transaction back. The COMMIT may have
// succeeded if the session ended (57), the connection broke (08), the system failed (58, XX) or
// completion is unknown (40003).
function isCleanFailure(error: unknown): boolean {
  const state = sqlState(error);
  if (state === undefined || state === "40003") return false;
  return !["08", "57", "58", "XX"].includes(state.slice(0, 2));
}

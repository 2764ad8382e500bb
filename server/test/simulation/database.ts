/** Models what Postgres keeps: committed rows, open transactions, and the locks that they hold. */
import type { Ticket } from "../../src/store/store.ts";

/** A row of the table of records. */
export interface Row {
  readonly fingerprint: string;
  readonly status: number | null;
  readonly headers: string | null;
  /** Hexadecimal. */
  readonly body: string | null;
  readonly owner: string | null;
  readonly leaseUntil: number | null;
  readonly attempt: number;
  readonly steps: string | null;
  /** No two are the same. */
  readonly createdAt: number;
  readonly expiresAt: number;
  /** Null unless it is finished, and in a tombstone. */
  readonly fenceUntil: number | null;
}

/** A row of the handlers' table. Nothing keeps it single. */
export interface Effect {
  /** Identity of the record that the effect belongs to. */
  readonly id: string;
  readonly run: number;
}

/** Change that a commit makes to a row. */
export interface Change {
  readonly id: string;
  readonly before: Row | undefined;
  readonly after: Row | undefined;
  /** Deleted on purpose. */
  readonly isForgotten: boolean;
}

export interface Transaction {
  /** By the row's identity; undefined: deleted. */
  readonly writes: Map<string, Row | undefined>;
  readonly effects: Effect[];
  isFailed: boolean;
  forgets: boolean;
  lockTimeoutMs: number;
  /** Resolves when it is committed or rolled back. */
  readonly over: Promise<void>;
  readonly end: () => void;
}

interface AdvisoryLock {
  readonly holders: Set<Transaction>;
  readonly isShared: boolean;
}

export interface Database {
  readonly rows: Map<string, Row>;
  readonly effects: Effect[];
  readonly open: Set<Transaction>;
  /** Rows that a transaction has written or locked. */
  readonly rowLocks: Map<string, Transaction>;
  /** Locks that are skipped by a probe for handlers. */
  readonly weakLocks: Set<string>;
  readonly advisoryLocks: Map<string, AdvisoryLock>;
  readonly now: () => number;
  /** The same in microseconds, of which none comes twice. */
  readonly instant: () => number;
  readonly onChange: (change: Change) => void;
}

/** Thrown if a statement has to wait for another transaction. */
export class Blocked extends Error {
  override name = "Blocked";
  readonly holder: Transaction;
  constructor(holder: Transaction) {
    super("waits for another transaction");
    this.holder = holder;
  }
}

const DEFAULT_LOCK_TIMEOUT_MS = 10_000;

/** The identity of a row: its primary key. */
export function idOf({ key, scope, target }: Omit<Ticket, "fingerprint">): string {
  return JSON.stringify([key, scope, target]);
}

export function createDatabase(now: () => number, onChange: (change: Change) => void): Database {
  let last = 0;
  return {
    rows: new Map(),
    effects: [],
    open: new Set(),
    rowLocks: new Map(),
    weakLocks: new Set(),
    advisoryLocks: new Map(),
    now,
    instant() {
      last = Math.max(last + 1, now() * 1_000);
      return last;
    },
    onChange,
  };
}

export function begin(database: Database): Transaction {
  const { promise, resolve } = Promise.withResolvers<void>();
  const transaction: Transaction = {
    writes: new Map(),
    effects: [],
    isFailed: false,
    forgets: false,
    lockTimeoutMs: DEFAULT_LOCK_TIMEOUT_MS,
    over: promise,
    end: resolve,
  };
  database.open.add(transaction);
  return transaction;
}

/** Returns Postgres' command tag: COMMIT of a failed transaction rolls back without an error. */
export function commit(database: Database, transaction: Transaction): "COMMIT" | "ROLLBACK" {
  if (!transaction.isFailed) {
    for (const [id, row] of transaction.writes) {
      const isForgotten = transaction.forgets;
      database.onChange({ id, before: database.rows.get(id), after: row, isForgotten });
      if (row === undefined) database.rows.delete(id);
      else database.rows.set(id, row);
    }
    database.effects.push(...transaction.effects);
  }
  finish(database, transaction);
  return transaction.isFailed ? "ROLLBACK" : "COMMIT";
}

export function rollBack(database: Database, transaction: Transaction): void {
  finish(database, transaction);
}

function finish(database: Database, transaction: Transaction): void {
  const { open, rowLocks, weakLocks, advisoryLocks } = database;
  open.delete(transaction);
  for (const [id, holder] of rowLocks) {
    if (holder !== transaction) continue;
    rowLocks.delete(id);
    weakLocks.delete(id);
  }
  for (const [id, { holders }] of advisoryLocks) {
    holders.delete(transaction);
    if (holders.size === 0) advisoryLocks.delete(id);
  }
  transaction.end();
}

/** Returns the row that a statement of the transaction sees: committed at its start, or written by the transaction itself. */
export function see({ rows }: Database, { writes }: Transaction, id: string): Row | undefined {
  return writes.has(id) ? writes.get(id) : rows.get(id);
}

/** @throws Blocked if another transaction holds the row. */
export function write(
  { rowLocks }: Database,
  transaction: Transaction,
  id: string,
  row: Row | undefined,
): void {
  const holder = rowLocks.get(id);
  if (holder !== undefined && holder !== transaction) throw new Blocked(holder);
  rowLocks.set(id, transaction);
  transaction.writes.set(id, row);
}

/** Whether the row could be locked without waiting. */
export function tryLockRow({ rowLocks }: Database, transaction: Transaction, id: string): boolean {
  const holder = rowLocks.get(id);
  if (holder !== undefined && holder !== transaction) return false;
  rowLocks.set(id, transaction);
  return true;
}

export function tryAdvisoryLock(
  { advisoryLocks }: Database,
  transaction: Transaction,
  id: string,
  isShared: boolean,
): boolean {
  const lock = advisoryLocks.get(id);
  if (lock === undefined) {
    advisoryLocks.set(id, { holders: new Set([transaction]), isShared });
    return true;
  }
  const isOwn = lock.holders.size === 1 && lock.holders.has(transaction);
  if (!isOwn && !(isShared && lock.isShared)) return false;
  lock.holders.add(transaction);
  return true;
}

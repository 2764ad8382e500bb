/** Models each statement of the store. A statement sees one moment; between two statements anything may happen. */
import { POSTGRES } from "../../src/store/postgres/dialect.ts";
import { createStatements } from "../../src/store/sql/statements.ts";
import type { Statements } from "../../src/store/sql/statements.ts";
import { meaningByHand } from "./by-hand.ts";
import { see, tryAdvisoryLock, tryLockRow, write, Blocked } from "./database.ts";
import type { Database, Row, Transaction } from "./database.ts";
import { leaseMeanings } from "./lease-statements.ts";
import {
  answer,
  EMPTY,
  endOf,
  fieldsOf,
  hex,
  NO_RECORD,
  number,
  read,
  text,
  wrote,
} from "./meaning.ts";
import type { Call, Meaning, Result, Value } from "./meaning.ts";

/** An error as Postgres sends it. */
export function databaseError(code: string, column?: string): Error {
  return Object.assign(new Error(`SQLSTATE ${code}`), { code, severity: "ERROR", column });
}

export const STATEMENTS: Statements = createStatements("oncekey", POSTGRES);

/** Effect of a statement at the moment of its call. @throws Blocked if it has to wait. */
export type CarryOut = () => Result;

/**
 * Begins a statement that touches rows or locks; `undefined` for any other. Its snapshot is taken when it runs. A statement
 * that takes a lock has its snapshot from now, and may get the lock much later.
 */
export function beginStatement(
  statement: string,
  database: Database,
  transaction: Transaction,
  values: readonly Value[],
): CarryOut | undefined {
  const meaning = MEANINGS.get(statement) ?? meaningByHand(statement);
  if (meaning === undefined) return undefined;
  const id = JSON.stringify(values.slice(0, 3));
  const snapshot = see(database, transaction, id);
  const isLocking = statement === STATEMENTS.checkAndLock || statement === STATEMENTS.checkAndProbe;
  return () => {
    const row = isLocking ? snapshot : see(database, transaction, id);
    return meaning({ database, transaction, values, id, row, now: database.now() });
  };
}

const isFinished = (row: Row | undefined, now: number): row is Row =>
  row !== undefined && row.status !== null && endOf(row) > now;
const isPending = (row: Row | undefined, now: number): row is Row =>
  row !== undefined && row.status === null && row.owner === null && row.expiresAt > now;

const MEANINGS: ReadonlyMap<string, Meaning> = new Map<string, Meaning>([
  [STATEMENTS.checkAndLock, (call) => lockUnlessFinished(call, false)],
  [STATEMENTS.checkAndProbe, (call) => lockUnlessFinished(call, true)],
  [STATEMENTS.lookup, ({ row, now }) => read(isFinished(row, now) ? [fieldsOf(row, now)] : [])],
  [
    textOf(STATEMENTS.lookupLast([])),
    ({ row, now }) => read([isFinished(row, now) ? fieldsOf(row, now) : NO_RECORD]),
  ],
  [only(STATEMENTS.claimUnique), (call) => claim(call, call.now)],
  [only(STATEMENTS.claimRow), (call) => claim(call, call.now + number(call.values[4]))],
  [STATEMENTS.lockRow, (call) => read(isNamed(call) && lockPending(call) ? [["1"]] : [])],
  [
    STATEMENTS.lockPending,
    (call) => {
      if (!lockPending(call)) return read([]);
      call.database.weakLocks.add(call.id);
      return read([["1"]]);
    },
  ],
  [
    STATEMENTS.probeRow,
    ({ database, transaction, id, row, now }) => {
      const holder = database.rowLocks.get(id);
      const isHeld = holder !== undefined && holder !== transaction && !database.weakLocks.has(id);
      return read(isPending(row, now) && !isHeld ? [["1"]] : []);
    },
  ],
  [
    STATEMENTS.renamePending,
    ({ database, transaction, values, id, row, now }) => {
      if (!isPending(row, now)) return wrote("UPDATE", 0);
      const expiresAt = now + number(values[4]);
      const createdAt = database.instant();
      write(database, transaction, id, {
        ...row,
        fingerprint: hex(values[3]),
        createdAt,
        expiresAt,
      });
      return wrote("UPDATE", 1);
    },
  ],
  [STATEMENTS.pendingRow, ({ row, now }) => read(isPending(row, now) ? [[row.fingerprint]] : [])],
  ...leaseMeanings(STATEMENTS),
  [STATEMENTS.store, store],
  [STATEMENTS.sweep, sweep],
  [STATEMENTS.bury, bury],
]);

/** The text of a statement that is one on PostgreSQL. */
function only(texts: readonly string[]): string {
  const [one, ...more] = texts;
  if (one === undefined || more.length > 0) throw new Error("the model knows it as one statement");
  return one;
}

function textOf(statements: readonly { readonly text: string }[]): string {
  return only(statements.map((statement) => statement.text));
}

function lockUnlessFinished({ database, transaction, values, row, now }: Call, isShared: boolean) {
  if (isFinished(row, now)) return read([[null]]);
  const isLocked = tryAdvisoryLock(database, transaction, text(values[3]), isShared);
  return read([[isLocked ? "t" : "f"]]);
}

// A row that counts is left alone; an uncommitted row of another transaction makes the claim wait.
function claim(call: Call, expiresAt: number): Result {
  const { database, transaction, values, id, row, now } = call;
  if (row !== undefined && endOf(row) > now) return wrote("INSERT 0", 0);
  write(database, transaction, id, {
    ...EMPTY,
    attempt: row?.attempt ?? EMPTY.attempt,
    fingerprint: hex(values[3]),
    createdAt: database.instant(),
    expiresAt,
  });
  return wrote("INSERT 0", 1);
}

function isNamed({ row, values }: Call): boolean {
  return row?.fingerprint === hex(values[3]);
}

function lockPending({ database, transaction, id, row, now }: Call): boolean {
  return isPending(row, now) && tryLockRow(database, transaction, id);
}

function store({ database, transaction, values, id, row, now }: Call): Result {
  const holder = database.rowLocks.get(id);
  if (holder !== undefined && holder !== transaction) throw new Blocked(holder);
  const [, , , fingerprint, status, headers, body, retentionMs, fenceMs] = values;
  const isFree =
    row === undefined || endOf(row) <= now || (row.status === null && row.owner === null);
  if (!isFree) throw databaseError("23502", "fingerprint");
  write(database, transaction, id, {
    ...EMPTY,
    fingerprint: hex(fingerprint),
    ...answer(status, headers, body),
    createdAt: database.instant(),
    expiresAt: now + number(retentionMs),
    fenceUntil: now + number(fenceMs),
  });
  return wrote("INSERT 0", 1);
}

function sweep({ database, transaction, values, now }: Call): Result {
  if (!tryAdvisoryLock(database, transaction, text(values[1]), false))
    return read([["0", "0", "0", null, null]]);
  let deleted = 0;
  const fenced: string[] = [];
  for (const [id, row] of database.rows) {
    if (!isSweepable(row, now)) continue;
    if (isFenced(row, now)) fenced.push(Buffer.from(id).toString("hex"));
    else if (tryLockRow(database, transaction, id)) {
      write(database, transaction, id, undefined);
      deleted += 1;
    }
  }
  const count = String(deleted + fenced.length);
  return read([[String(deleted), count, count, null, fenced.join(" ") || null]]);
}

function isSweepable({ expiresAt, leaseUntil, status, owner }: Row, now: number): boolean {
  // A crashed lease is not deleted among others, but by hand.
  if (status === null && owner !== null) return false;
  return expiresAt <= now && (leaseUntil === null || leaseUntil <= now);
}

function isFenced({ fenceUntil }: Row, now: number): boolean {
  return fenceUntil !== null && fenceUntil > now;
}

/** The ids of the model are the rows' identities in hexadecimal. */
function bury({ database, transaction, values, now }: Call): Result {
  if (!tryAdvisoryLock(database, transaction, text(values[1]), false)) return wrote("UPDATE", 0);
  let buried = 0;
  for (const [, hexadecimal = ""] of text(values[0]).matchAll(/"(\w+)"/g)) {
    const id = Buffer.from(hexadecimal, "hex").toString();
    const row = database.rows.get(id);
    if (row === undefined || row.fenceUntil === null) continue;
    if (!isSweepable(row, now) || !isFenced(row, now)) continue;
    if (!tryLockRow(database, transaction, id)) continue;
    write(database, transaction, id, {
      ...row,
      headers: null,
      body: null,
      owner: null,
      expiresAt: row.fenceUntil,
      fenceUntil: null,
    });
    buried += 1;
  }
  return wrote("UPDATE", buried);
}

/**
 * Models the statements of `forget`, and the look-up by which the sweep finds crashed leases. Each is matched by its beginning,
 * because its text stands where it is sent.
 */
import { Blocked, write } from "./database.ts";
import type { Database } from "./database.ts";
import { read, text, wrote } from "./meaning.ts";
import type { Call, Meaning, Result, Value } from "./meaning.ts";

const MEANINGS: readonly (readonly [beginning: string, Meaning])[] = [
  ['delete from "oncekey".records where key = $1', forget],
  ['select from "oncekey".records where key = $1', look],
  ["select key, scope, target, ", findCrashes],
  ['insert into "oncekey".decisions', () => wrote("INSERT 0", 1)],
];

export function meaningByHand(statement: string): Meaning | undefined {
  return MEANINGS.find(([beginning]) => statement.startsWith(beginning))?.[1];
}

/** Returns the crashed leases past their fence, which the sweep forgets. The model gives none back after a step. */
function findCrashes({ database, now }: Call): Result {
  const over = [...database.rows].filter(
    ([, { status, owner, leaseUntil, expiresAt }]) =>
      status === null && owner !== null && (leaseUntil ?? 0) <= now && expiresAt <= now,
  );
  return read(
    over.map(([id, { createdAt, attempt }]) => [
      ...(JSON.parse(id) as string[]),
      String(createdAt),
      String(attempt),
    ]),
  );
}

function forget(call: Call): Result {
  const { database, transaction, values, id, row } = call;
  if (row === undefined || String(row.createdAt) !== text(values[3]) || isLeased(call))
    return wrote("DELETE", 0);
  write(database, transaction, id, undefined);
  transaction.forgets = true;
  return wrote("DELETE", 1);
}

/** Locks the record for the decision, or reports that its lease runs. */
function look(call: Call): Result {
  if (call.values.length < 4) return read(isLeased(call) ? [[]] : []);
  const { database, transaction, id, row } = call;
  if (row === undefined || isLeased(call)) return read([]);
  const holder = database.rowLocks.get(id);
  if (holder !== undefined && holder !== transaction) throw new Blocked(holder);
  database.rowLocks.set(id, transaction);
  return read([[]]);
}

function isLeased({ row, now }: Call): boolean {
  return (row?.leaseUntil ?? 0) > now;
}

/** Returns the record that `forget` addresses, with the columns that it reads. */
export function lookByHand({ rows }: Database, [key, scope, target]: readonly Value[]): object[] {
  const row = rows.get(JSON.stringify([key, scope, target]));
  if (row === undefined) return [];
  const { headers, steps, createdAt } = row;
  return [{ key, scope, target, headers, body: null, steps, createdAt: String(createdAt) }];
}

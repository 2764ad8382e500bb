/** Models the statements of strategy `lease`. */
import type { LeaseStatements } from "../../src/store/sql/lease-statements.ts";
import { write } from "./database.ts";
import type { Row } from "./database.ts";
import { answer, EMPTY, endOf, fieldsOf, hex, number, read, text, wrote } from "./meaning.ts";
import type { Call, Meaning, Result } from "./meaning.ts";

export function leaseMeanings(statements: LeaseStatements): [string, Meaning][] {
  return [
    [
      statements.lookupLease,
      ({ row, now }) => {
        if (row === undefined) return read([]);
        const isShown = row.status === null ? row.owner !== null : row.expiresAt > now;
        if (!isShown) return read([]);
        return read([[...fieldsOf(row, now), (row.leaseUntil ?? 0) > now ? "t" : "f"]]);
      },
    ],
    [statements.claimLease[0] ?? "", claimLease],
    [
      statements.renewLease,
      (call) => {
        if (call.row?.leaseUntil === Number.NEGATIVE_INFINITY) return wrote("UPDATE", 0);
        return updateOwn(call, { leaseUntil: call.now + number(call.values[4]) });
      },
    ],
    [
      statements.rememberStep,
      (call) => {
        const steps = text(call.values[4]);
        const before = call.row?.steps ?? "";
        return updateOwn(call, { steps: before.length > steps.length ? before : steps });
      },
    ],
    [statements.failLease, (call) => updateOwn(call, { leaseUntil: Number.NEGATIVE_INFINITY })],
    [statements.freeLease, (call) => updateOwn(call, undefined)],
    [
      statements.giveBackLease,
      (call) =>
        updateOwn(call, { leaseUntil: Number.NEGATIVE_INFINITY, steps: text(call.values[4]) }),
    ],
    [
      statements.finishLease,
      (call) => {
        const [, , , , status, headers, body, retentionMs, fenceMs] = call.values;
        return updateOwn(call, {
          ...answer(status, headers, body),
          leaseUntil: null,
          steps: null,
          createdAt: call.database.instant(),
          expiresAt: call.now + number(retentionMs),
          fenceUntil: call.now + number(fenceMs),
        });
      },
    ],
  ];
}

function claimLease(call: Call): Result {
  const { database, transaction, id, row } = call;
  if (row !== undefined) return takeLease(call);
  write(database, transaction, id, leased(call));
  return { rows: [["1", null]], tag: "INSERT 0 1" };
}

function takeLease(call: Call): Result {
  const { database, transaction, values, id, row, now } = call;
  const [fingerprint, owner, lost] = [hex(values[3]), text(values[4]), values[7]];
  if (row === undefined) return wrote("INSERT 0", 0);
  const mayTake =
    (row.status !== null && endOf(row) <= now) ||
    (row.status === null && row.owner === null && row.expiresAt <= now) ||
    (row.status === null &&
      row.fingerprint === fingerprint &&
      ((row.leaseUntil !== null && row.leaseUntil <= now) || row.owner === lost));
  if (!mayTake) return wrote("INSERT 0", 0);
  const isFirst = row.status !== null || row.owner === null;
  const attempt = isFirst ? 1 : row.owner === owner ? row.attempt : row.attempt + 1;
  const steps = row.status === null ? row.steps : null;
  write(database, transaction, id, { ...leased(call), attempt, steps });
  return { rows: [[String(attempt), steps]], tag: "INSERT 0 1" };
}

function leased({ database, values, now }: Call): Row {
  return {
    ...EMPTY,
    fingerprint: hex(values[3]),
    owner: text(values[4]),
    leaseUntil: now + number(values[5]),
    createdAt: database.instant(),
    expiresAt: now + number(values[6]),
  };
}

/** @param change `undefined` deletes the row. */
function updateOwn(
  { database, transaction, values, id, row }: Call,
  change: Partial<Row> | undefined,
): Result {
  if (row === undefined || row.owner !== text(values[3]) || row.status !== null) {
    return wrote("UPDATE", 0);
  }
  write(database, transaction, id, change && { ...row, ...change });
  return wrote("UPDATE", 1);
}

/** Types and readers that the models of statements share: call, result, values. */
import type { Row as Fields } from "../../src/store/postgres/batch.ts";
import type { Database, Row, Transaction } from "./database.ts";

export type Value = string | Buffer | null;

export interface Result {
  readonly rows: readonly Fields[];
  readonly tag: string;
}

export interface Call {
  readonly database: Database;
  readonly transaction: Transaction;
  readonly values: readonly Value[];
  readonly id: string;
  readonly row: Row | undefined;
  readonly now: number;
}

export type Meaning = (call: Call) => Result;

export const EMPTY: Omit<Row, "fingerprint" | "createdAt" | "expiresAt"> = {
  status: null,
  headers: null,
  body: null,
  owner: null,
  leaseUntil: null,
  attempt: 1,
  steps: null,
  fenceUntil: null,
};

/** End of a row: of its key, which outlives the response. */
export function endOf({ expiresAt, fenceUntil }: Row): number {
  return Math.max(expiresAt, fenceUntil ?? expiresAt);
}

export function answer(status?: Value, headers?: Value, body?: Value) {
  return { status: number(status), headers: text(headers), body: body ? hex(body) : null };
}

export function read(rows: readonly Fields[]): Result {
  return { rows, tag: `SELECT ${rows.length}` };
}

export function wrote(tag: string, count: number): Result {
  return { rows: [], tag: `${tag} ${count}` };
}

export function text(value: Value | undefined): string {
  return String(value ?? "");
}

export function number(value: Value | undefined): number {
  return Number(text(value));
}

export function hex(value: Value | undefined): string {
  return Buffer.isBuffer(value) ? value.toString("hex") : text(value);
}

/** The columns of a look-up. */
export function fieldsOf(row: Row, now: number): Fields {
  const { fingerprint, status, expiresAt, owner } = row;
  const { headers, body } = expiresAt > now ? row : { headers: null, body: null };
  const [left, fenced] = [expiresAt, endOf(row)].map((end) => String(Math.floor(end - now)));
  const kept = [fingerprint, status === null ? null : String(status), headers, body];
  return [...kept, left ?? null, owner, fenced ?? null];
}

export const NO_RECORD: Fields = [null, null, null, null, null, null, null];

/** A record as it stands in the table. */
import type { Pool } from "pg";
import { stepNames } from "../claims/lease-steps.ts";
import { STATE } from "./record-state.ts";
import type { RecordState } from "./record-state.ts";

/** A record as it stands in the table. Instants are ISO 8601 in UTC with microseconds, by the clock of the database. */
export interface TableRecord {
  readonly key: string;
  readonly scope: string;
  readonly target: string;
  readonly state: RecordState;
  /** Hexadecimal. */
  readonly fingerprint: string;
  readonly status: number | null;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** `null` where there is none: not finished, or the body could not be kept. */
  readonly bodyBytes: number | null;
  /** `null` where there is none or it was not asked for. */
  readonly body: Buffer | null;
  readonly attempt: number;
  readonly owner: string | null;
  readonly leaseUntil: string | null;
  /** Names of the finished steps. */
  readonly steps: readonly string[];
  readonly createdAt: string;
  /** When the response expires, or an unfinished record. */
  readonly expiresAt: string;
  /** Until when the key runs nothing; `null` if the record is not finished. */
  readonly fenceUntil: string | null;
  /** Number of times that crash recovery has asked `onCrash` without an answer. */
  readonly recoveries: number;
}

/** Which records: those of one key in one scope, of every target or of one. */
export interface RecordAddress {
  readonly key: string;
  readonly scope: string;
  readonly target?: string | undefined;
  /** The pool whose database has the record. Only needed if option `pool` is a function. */
  readonly pool?: Pool | undefined;
}

/** The columns of {@link TableRecord}. */
export function recordColumns(body: string): string {
  return `key, scope, target, ${STATE} as state, encode(fingerprint, 'hex') as fingerprint, status, headers,
    octet_length(body) as "bodyBytes", ${body} as body, coalesce(attempt, 1) as attempt, owner,
    ${instant("nullif(lease_until, '-infinity')")} as "leaseUntil", steps,
    ${instant("created_at")} as "createdAt", ${instant("expires_at")} as "expiresAt",
    ${instant("case when status is not null then greatest(expires_at, fence_until) end")} as "fenceUntil",
    coalesce(recoveries, 0) as recoveries`;
}

interface Packed {
  readonly body: string | null;
  readonly headers: string | null;
  readonly steps: string | null;
}

export type RecordRow = Omit<TableRecord, keyof Packed> & Packed;

export function toRecord(row: RecordRow): TableRecord {
  return {
    ...row,
    body: row.body === null ? null : Buffer.from(row.body, "hex"),
    headers: JSON.parse(row.headers ?? "[]") as [string, string][],
    steps: stepNames(row.steps),
  };
}

export function instant(expression: string): string {
  return `to_char(${expression} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
}

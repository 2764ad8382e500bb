/** Reads, deletes and counts records on request of a person or the application. */
import { stepNames } from "../claims/lease-steps.ts";
import type { Pool, PoolClient } from "pg";
import type { StatementResult } from "../postgres/batch.ts";
import type { StoreParts } from "../store-parts.ts";
import { queryPlain } from "../postgres/plain-query.ts";
import { sqlState } from "../postgres/transaction.ts";
import { inOneRoundTrip } from "../round-trip.ts";

/**
 * The state of a record at this moment. `finished`: replayed. `tombstone`: its response has expired, and a repeat gets 410. `started`: a handler runs, or broke off and the next request starts
 * it again. `leased`: its owner is at work. `crashed`: its owner's lease has expired without a successor. `expired`: as good as absent.
 */
export type RecordState = "finished" | "tombstone" | "started" | "leased" | "crashed" | "expired";

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
}

/** Which records: those of one key in one scope, of every target or of one. */
export interface RecordAddress {
  readonly key: string;
  readonly scope: string;
  readonly target?: string | undefined;
}

/** Expired rows that no sweep has deleted yet. */
export interface SweepLag {
  readonly expired: number;
  readonly oldestExpiredAt: string | null;
  /** Milliseconds since the oldest of them expired; 0 where there is none. */
  readonly lagMs: number;
}

export interface TableStats extends SweepLag {
  readonly records: number;
  readonly finished: number;
  /** The finished records whose body could not be kept. */
  readonly withoutBody: number;
  /** Keys whose response has expired, swept or not. */
  readonly tombstones: number;
  readonly started: number;
  readonly leased: number;
  readonly crashed: number;
  readonly oldestCreatedAt: string | null;
  /** Table, indexes and out-of-line bodies, in bytes. */
  readonly sizeBytes: number;
}

const STATE = `case
  when status is not null and headers is not null and expires_at > statement_timestamp() then 'finished'
  when status is not null and greatest(expires_at, fence_until) > statement_timestamp() then 'tombstone'
  when status is null and lease_until > statement_timestamp() then 'leased'
  when status is null and owner is not null then 'crashed'
  when expires_at <= statement_timestamp() then 'expired'
  else 'started'
end`;

// The condition of the sweep: it leaves a row alone whose lease still runs.
const SWEEPABLE =
  "expires_at <= statement_timestamp() and (lease_until is null or lease_until <= statement_timestamp())";

/** Reads only. Bodies are fetched with `bodies`, and only measured without. Throws what the database throws. */
export async function findRecords(
  pool: Pool,
  schema: string,
  address: RecordAddress,
  bodies?: "bodies",
): Promise<TableRecord[]> {
  const { rows } = await queryPlain<Omit<TableRecord, keyof Packed> & Packed>(
    pool,
    `select key, scope, target, ${STATE} as state, encode(fingerprint, 'hex') as fingerprint, status, headers,
       octet_length(body) as "bodyBytes", encode(case when $4::boolean then body end, 'hex') as body,
       coalesce(attempt, 1) as attempt, owner,
       ${instant("nullif(lease_until, '-infinity')")} as "leaseUntil", steps,
       ${instant("created_at")} as "createdAt", ${instant("expires_at")} as "expiresAt",
       ${instant("case when status is not null then greatest(expires_at, fence_until) end")} as "fenceUntil"
     from "${schema}".records
     where key = $1::text and scope = $2::text and ($3::text is null or target = $3::text)
     order by target`,
    [address.key, address.scope, address.target ?? null, bodies === "bodies"],
  );
  return rows.map((row) => ({
    ...row,
    body: row.body === null ? null : Buffer.from(row.body, "hex"),
    headers: JSON.parse(row.headers ?? "[]") as [string, string][],
    steps: stepNames(row.steps),
  }));
}

interface Packed {
  readonly body: string | null;
  readonly headers: string | null;
  readonly steps: string | null;
}

/**
 * How it ended. `changed`: it is not the record that was looked at any more, or gone. `held`: a handler is at work on it; to
 * delete it would let another start beside it.
 */
export type ForgetOutcome = "forgotten" | "changed" | "held";

/**
 * Deletes a record as it was found, so that its key runs again. A record that has changed since, or whose owner's lease still
 * runs, stays. Throws what the database throws.
 */
export async function forgetRecord(
  parts: StoreParts,
  record: Pick<TableRecord, "key" | "scope" | "target" | "createdAt">,
): Promise<ForgetOutcome> {
  // Every new owner and every end of one sets created_at: beside a handler that ends in this moment, the second to touch
  // the row sees another instant and changes nothing. A row that a handler holds is not waited for.
  const records = `"${parts.schema}".records`;
  const thisOne = "key = $1::text and scope = $2::text and target = $3::text";
  const ticket = [record.key, record.scope, record.target];
  const outcome = await inOneRoundTrip(
    parts,
    [
      { text: parts.statements.impatient },
      {
        text: `delete from ${records} where ${thisOne} and created_at = $4::timestamptz
          and (lease_until is null or lease_until <= statement_timestamp())`,
        values: [...ticket, record.createdAt],
      },
      {
        text: `select from ${records} where ${thisOne} and lease_until > statement_timestamp()`,
        values: ticket,
      },
    ],
    "commit",
    ([, deleted, leased]) => ({ kind: readForget(deleted, leased) }),
  );
  if (outcome.kind !== "unavailable") return outcome.kind;
  if (sqlState(outcome.cause) === "55P03") return "held";
  throw outcome.cause;
}

function readForget(
  deleted: StatementResult | undefined,
  leased: StatementResult | undefined,
): ForgetOutcome {
  if (deleted?.tag === "DELETE 1") return "forgotten";
  return leased?.rows.length === 1 ? "held" : "changed";
}

/** Reads only, by the index on expiry. Throws what the database throws. */
export async function readSweepLag(database: Pool | PoolClient, schema: string): Promise<SweepLag> {
  const { rows } = await queryPlain<SweepLag>(
    database,
    `select count(*)::float8 as expired, ${instant("min(expires_at)")} as "oldestExpiredAt",
       coalesce(extract(epoch from statement_timestamp() - min(expires_at)) * 1000, 0)::float8 as "lagMs"
     from "${schema}".records where ${SWEEPABLE}`,
  );
  return only(rows);
}

/** Reads only, the whole table: some seconds for tens of millions of records. Throws what the database throws. */
export async function readStats(pool: Pool, schema: string): Promise<TableStats> {
  const inState = (state: RecordState): string =>
    `count(*) filter (where state = '${state}')::float8 as ${state}`;
  const { rows } = await queryPlain<Omit<TableStats, keyof SweepLag>>(
    pool,
    `select count(*)::float8 as records, ${inState("finished")},
       count(*) filter (where state = 'tombstone')::float8 as tombstones,
       count(*) filter (where state = 'finished' and body is null)::float8 as "withoutBody",
       ${inState("started")}, ${inState("leased")}, ${inState("crashed")},
       ${instant("min(created_at)")} as "oldestCreatedAt",
       pg_total_relation_size($1::regclass)::float8 as "sizeBytes"
     from (select ${STATE} as state, body, created_at from "${schema}".records) as record`,
    [`"${schema}".records`],
  );
  return { ...only(rows), ...(await readSweepLag(pool, schema)) };
}

function instant(expression: string): string {
  return `to_char(${expression} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
}

function only<Row>(rows: readonly Row[]): Row {
  const [row] = rows;
  if (row === undefined) throw new Error("an aggregate answered with no row");
  return row;
}

/** Reads and counts records on request of a person or the application. */
import type { Pool, PoolClient } from "pg";
import { queryPlain } from "../postgres/plain-query.ts";
import { readEngine } from "../postgres/dialect.ts";
import { STATE } from "./record-state.ts";
import type { RecordState } from "./record-state.ts";
import { instant, recordColumns, toRecord } from "./table-record.ts";
import type { RecordAddress, RecordRow, TableRecord } from "./table-record.ts";

/** Expired rows that no sweep has come by yet. */
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
  readonly running: number;
  readonly crashed: number;
  readonly failed: number;
  readonly oldestCreatedAt: string | null;
  /** Table, indexes and out-of-line bodies, in bytes. */
  readonly sizeBytes: number;
}

/** The table `$1` and its partitions, if it has any. */
export const PARTS =
  "(select $1::regclass::oid union select relid::oid from pg_partition_tree($1::regclass)) as parts (part)";

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
  const { rows } = await queryPlain<RecordRow>(
    pool,
    `select ${recordColumns("encode(case when $4::boolean then body end, 'hex')")}
     from "${schema}".records
     where key = $1::text and scope = $2::text and ($3::text is null or target = $3::text)
     order by target`,
    [address.key, address.scope, address.target ?? null, bodies === "bodies"],
  );
  return rows.map(toRecord);
}

/** Reads only, by the indexes on expiry. Throws what the database throws. */
export async function readSweepLag(database: Pool | PoolClient, schema: string): Promise<SweepLag> {
  const { dialect } = await readEngine(database, schema);
  const isPartitioned = dialect.kind === "postgres" && dialect.isPartitioned === true;
  const { rows } = await queryPlain<SweepLag>(
    database,
    `select count(*)::float8 as expired, ${instant("min(expires_at)")} as "oldestExpiredAt",
       coalesce(extract(epoch from statement_timestamp() - min(expires_at)) * 1000, 0)::float8 as "lagMs"
     from ${isPartitioned ? sweepableIn(schema) : `"${schema}".records where ${SWEEPABLE}`}`,
  );
  return only(rows);
}

// In the partition of a day, what is over waits for the end of the day's keys: only expired responses are due.
function sweepableIn(schema: string): string {
  const others = ["records_other", "records_days_other"].map(
    (name) => `select expires_at from "${schema}".${name} where ${SWEEPABLE}`,
  );
  const days = `select expires_at from "${schema}".records_days
    where fence_until > expires_at and ${SWEEPABLE} and fence_until > statement_timestamp()
      and tableoid <> '"${schema}".records_days_other'::regclass`;
  return `(${[...others, days].join(" union all ")}) as sweepable`;
}

/** Reads only, the whole table: some seconds for tens of millions of records. Throws what the database throws. */
export async function readStats(pool: Pool, schema: string): Promise<TableStats> {
  const inState = (state: RecordState, name: string = state): string =>
    `count(*) filter (where state = '${state}')::float8 as ${name}`;
  const { rows } = await queryPlain<Omit<TableStats, keyof SweepLag>>(
    pool,
    `select count(*)::float8 as records, ${inState("finished")}, ${inState("tombstone", "tombstones")},
       count(*) filter (where state = 'finished' and body is null)::float8 as "withoutBody",
       ${inState("running")}, ${inState("crashed")}, ${inState("failed")},
       ${instant("min(created_at)")} as "oldestCreatedAt",
       (select sum(pg_total_relation_size(part)) from ${PARTS})::float8 as "sizeBytes"
     from (select ${STATE} as state, body, created_at from "${schema}".records) as record`,
    [`"${schema}".records`],
  );
  return { ...only(rows), ...(await readSweepLag(pool, schema)) };
}

function only<Row>(rows: readonly Row[]): Row {
  const [row] = rows;
  if (row === undefined) throw new Error("an aggregate answered with no row");
  return row;
}

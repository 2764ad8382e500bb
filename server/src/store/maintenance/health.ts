/** Measures what an operator watches: unfinished, crashed and failed records, tombstones, and the lag of the sweep. */
import type { Pool } from "pg";
import { queryPlain } from "../postgres/plain-query.ts";
import { OPEN, STATE } from "./record-state.ts";
import { PARTS, readSweepLag } from "./records.ts";

/** Figures of a table at this moment, by the clock of the database. Unfinished rows of strategy `row` are not counted. */
export interface TableHealth {
  /** Leases whose owner did not finish, and that no request has taken over. */
  readonly crashed: number;
  /** Keys that were closed without an answer of their handler. */
  readonly failed: number;
  /** Leases without a response: running and crashed ones. */
  readonly unfinished: number;
  /** Milliseconds since the oldest unfinished lease was begun; 0 if there is none. */
  readonly oldestUnfinishedMs: number;
  /** Keys that are remembered without a response. Estimated from the statistics of the last ANALYZE. */
  readonly tombstones: number;
  /** Expired rows that no sweep has reached yet. */
  readonly expired: number;
  /** Milliseconds since the oldest of them expired; 0 if there is none. */
  readonly sweepLagMs: number;
}

/** Reads only, by the indexes on open and on expired records. Throws what the database throws. */
export async function readHealth(pool: Pool, schema: string): Promise<TableHealth> {
  const { rows } = await queryPlain<Omit<TableHealth, "expired" | "sweepLagMs">>(
    pool,
    `select crashed, failed, unfinished, "oldestUnfinishedMs",
       greatest(0, coalesce((select round(sum(reltuples * null_frac)) from ${PARTS}
         join pg_class on pg_class.oid = part
         join pg_namespace on pg_namespace.oid = relnamespace
         join pg_stats on schemaname = nspname and tablename = relname and attname = 'headers'
         where relkind = 'r' and reltuples > 0), 0) - unfinished)::float8 as tombstones
     from (select count(*) filter (where state = 'crashed')::float8 as crashed,
         count(*) filter (where state = 'failed')::float8 as failed,
         count(*) filter (where status is null)::float8 as unfinished,
         coalesce(extract(epoch from statement_timestamp() - min(created_at) filter (where status is null)) * 1000, 0)::float8
           as "oldestUnfinishedMs"
       from (select ${STATE} as state, status, created_at from "${schema}".records where ${OPEN}) as open) as counted`,
    [`"${schema}".records`],
  );
  const [found] = rows;
  if (found === undefined) throw new Error("an aggregate answered with no row");
  const { expired, lagMs } = await readSweepLag(pool, schema);
  return { ...found, expired, sweepLagMs: lagMs };
}

/** Returns the scopes that have a record of a key, at most `limit`. Reads only, by the primary key. */
export async function findScopes(
  pool: Pool,
  schema: string,
  key: string,
  limit: number,
): Promise<string[]> {
  const { rows } = await queryPlain<{ readonly scope: string }>(
    pool,
    `select distinct scope from "${schema}".records where key = $1::text order by scope limit $2::int`,
    [key, limit],
  );
  return rows.map(({ scope }) => scope);
}

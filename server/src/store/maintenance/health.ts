/** Measures what an operator watches: unfinished and crashed records, tombstones, and the lag of the sweep. */
import type { Pool } from "pg";
import { queryPlain } from "../postgres/plain-query.ts";
import { readSweepLag } from "./records.ts";

/** Figures of a table at this moment, by the clock of the database. */
export interface TableHealth {
  /** Leases whose owner did not finish, and that no request has taken over. */
  readonly crashed: number;
  /** Records without a response: running and crashed ones. */
  readonly unfinished: number;
  /** Milliseconds since the oldest unfinished record was begun; 0 if there is none. */
  readonly oldestUnfinishedMs: number;
  /** Keys that are remembered without a response. Estimated from the statistics of the last ANALYZE. */
  readonly tombstones: number;
  /** Expired rows that no sweep has deleted yet. */
  readonly expired: number;
  /** Milliseconds since the oldest of them expired; 0 if there is none. */
  readonly sweepLagMs: number;
}

/** Reads only, without a pass over the finished records. Throws what the database throws. */
export async function readHealth(pool: Pool, schema: string): Promise<TableHealth> {
  const { rows } = await queryPlain<Omit<TableHealth, "expired" | "sweepLagMs">>(
    pool,
    `select crashed, unfinished, "oldestUnfinishedMs",
       greatest(0, coalesce((select round(reltuples * null_frac) from pg_class
         join pg_namespace on pg_namespace.oid = relnamespace
         join pg_stats on schemaname = nspname and tablename = relname and attname = 'headers'
         where pg_class.oid = $1::regclass and reltuples > 0), 0) - pending)::float8 as tombstones
     from (select count(*) as pending,
         count(*) filter (where lease_until <= statement_timestamp())::float8 as crashed,
         count(*) filter (where is_live)::float8 as unfinished,
         coalesce(extract(epoch from statement_timestamp() - min(created_at) filter (where is_live)) * 1000, 0)::float8
           as "oldestUnfinishedMs"
       from (select lease_until, created_at, owner is not null or expires_at > statement_timestamp() as is_live
         from "${schema}".records where status is null) as pending) as counted`,
    [`"${schema}".records`],
  );
  const [found] = rows;
  if (found === undefined) throw new Error("an aggregate answered with no row");
  const { expired, lagMs } = await readSweepLag(pool, schema);
  return { ...found, expired, sweepLagMs: lagMs };
}

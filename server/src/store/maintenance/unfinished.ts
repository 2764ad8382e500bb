/** Finds the records without a response, and the scopes of a key, for the operator's page. */
import type { Pool } from "pg";
import { queryPlain } from "../postgres/plain-query.ts";

/** A record without a response. Durations are by the clock of the database. */
export interface UnfinishedRecord {
  readonly key: string;
  readonly scope: string;
  readonly target: string;
  /** `started`: a handler runs, or broke off and the next request starts it again. */
  readonly state: "crashed" | "leased" | "started";
  readonly attempt: number;
  /** Milliseconds since its last owner began. */
  readonly ageMs: number;
}

/** Reads only: crashed records first, then the oldest. Throws what the database throws. */
export async function findUnfinished(
  pool: Pool,
  schema: string,
  limit: number,
): Promise<UnfinishedRecord[]> {
  const { rows } = await queryPlain<UnfinishedRecord>(
    pool,
    `select key, scope, target, state, attempt, "ageMs" from (
       select key, scope, target, coalesce(attempt, 1) as attempt, created_at,
         case when owner is null then 'started' when lease_until > statement_timestamp() then 'leased' else 'crashed' end as state,
         (extract(epoch from statement_timestamp() - created_at) * 1000)::float8 as "ageMs"
       from "${schema}".records
       where status is null and (owner is not null or expires_at > statement_timestamp())) as pending
     order by state = 'crashed' desc, created_at, key limit $1::int`,
    [limit],
  );
  return rows;
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

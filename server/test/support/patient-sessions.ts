/** Sessions that wait for a lock for longer than a duplicate does. */
import type pg from "pg";

/** Counts the sessions of the pool's database that have waited for a lock for 100 ms. @param locktype Default: any. */
export async function countPatient(pool: pg.Pool, locktype?: string): Promise<number> {
  const { rowCount } = await pool.query(
    `select from pg_locks join pg_stat_activity using (pid)
     where not granted and locktype = coalesce($1, locktype) and datname = current_database()
       and waitstart < clock_timestamp() - interval '100 ms'`,
    [locktype],
  );
  return rowCount ?? -1;
}

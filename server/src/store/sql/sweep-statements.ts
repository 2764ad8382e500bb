/** The statements of the sweep. Each comment explains why it is safe to run twice at once. */
import { GIVEN_BACK } from "./lease-statements.ts";

export interface SweepStatements {
  readonly planSweep: string;
  readonly sweep: string;
  readonly bury: string;
  readonly dueToBury: string;
  readonly gate: string;
  readonly sweepBound: string;
  readonly sweepUntil: string;
  readonly buryUntil: string;
}

/** @param records one table, quoted: a ctid names a row of one table only, so each partition is swept by itself. */
export function sweepStatements(records: string): SweepStatements {
  // A server that was started before the table got its partitions finds none of their rows.
  const table = `only ${records}`;
  const over =
    "expires_at <= statement_timestamp() and (lease_until is null or lease_until <= statement_timestamp())";
  // A lease whose effects are not known is never deleted among others: `endCrashes` announces it first.
  const crashed = `(status is null and owner is not null and not ${GIVEN_BACK})`;
  const sweepable = `${over} and not ${crashed}`;
  const fenced = "coalesce(fence_until > statement_timestamp(), false)";
  // A tombstone: status and fingerprint stay, and the row comes up again at the end of its fence.
  // Rounded up to a minute, so that the index on expiry stores equal entries once.
  const buried = `headers = null, body = null, attempt = null, owner = null, fence_until = null,
        recoveries = null, recover_at = null,
        expires_at = (date_trunc('minute', fence_until at time zone 'UTC') + interval '1 minute') at time zone 'UTC'`;
  return {
    // Whatever the statistics are, the sweep goes along the index on expiry: a sort would read the
    // whole backlog for each batch.
    planSweep: `
      select set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
        set_config('jit', 'off', true)`,

    // Deletes what is over, and returns the ids of finished rows whose fence still stands, for
    // `bury`. Two at once: the second does not get the lock and deletes nothing. A row that a retry
    // is overwriting, or that a handler holds, is locked and left alone; so is a row whose lease
    // still runs. A batch ends at $4 bytes of bodies, each of which is many rows to delete. It
    // begins at the instant $3 at which the previous batch ended: deleted rows stay in the index
    // until a vacuum.
    sweep: `
      with gate as materialized (select pg_try_advisory_xact_lock($2::bigint) as is_mine),
      due as materialized (
        select ctid as id, expires_at, ${fenced} as is_fenced,
          coalesce(octet_length(body), 0) + coalesce(octet_length(steps), 0) as bytes
        from ${table}
        where (select is_mine from gate) and ${sweepable}
          and expires_at >= coalesce(
            'epoch'::timestamptz + $3::bigint * interval '1 microsecond', '-infinity'::timestamptz)
        order by expires_at
        limit $1::int
      ),
      chosen as materialized (
        select id, expires_at, is_fenced from (
          select id, expires_at, is_fenced, sum(bytes) over (order by expires_at, id rows unbounded preceding) - bytes as before
          from due
        ) as counted
        where before < $4::bigint
      ),
      gone as (
        delete from ${table} where ctid = any (array(
          select ctid from ${table}
          where ctid = any (array(select id from chosen where not is_fenced)) and ${sweepable} and not ${fenced}
          for update skip locked
        ))
        returning 1
      )
      select (select count(*) from gone), (select count(*) from chosen), (select count(*) from due),
        (select (extract(epoch from max(expires_at)) * 1000000)::bigint from chosen),
        (select string_agg(id::text, ' ' order by expires_at) from chosen where is_fenced)`,

    // Makes tombstones of expired responses. Not a HOT update: expires_at is indexed, and has to
    // be, or every sweep would read all tombstones again. So each row gets a second entry in the
    // primary key until the first is vacuumed. The caller sends rows of one leaf in different
    // transactions: then Postgres deletes the old entries before it would split the leaf. Two at
    // once: the second does not get the lock. A row that a handler or a retry holds is left alone.
    bury: `
      update ${table} set ${buried}
      where (select pg_try_advisory_xact_lock($2::bigint)) and ctid = any (array(
        select ctid from ${table} where ctid = any ($1::tid[]) and ${sweepable} and ${fenced}
        for update skip locked
      ))`,

    // Finds rows for `bury` in the partition of a day, and deletes none: what is over goes with its day. The index holds no
    // tombstone. Two at once: the second does not get the lock.
    dueToBury: `
      with gate as materialized (select pg_try_advisory_xact_lock($2::bigint) as is_mine),
      due as materialized (
        select ctid as id, expires_at from ${table}
        where (select is_mine from gate) and fence_until > expires_at and ${sweepable} and ${fenced}
          and expires_at >= coalesce(
            'epoch'::timestamptz + $3::bigint * interval '1 microsecond', '-infinity'::timestamptz)
        order by expires_at
        limit $1::int
      )
      select 0, count(*), count(*), (extract(epoch from max(expires_at)) * 1000000)::bigint,
        string_agg(id::text, ' ' order by expires_at)
      from due`,

    // The sweep on several nodes: there, a row cannot be addressed by its ctid, nor skipped if it
    // is locked. So a slice of time is deleted at once. Two at once delete the same rows or none. A
    // row that a retry has overwritten is no longer in the slice.
    gate: "select pg_try_advisory_xact_lock($1::bigint)",
    sweepBound: `
      select max(expires_at)::text from (
        select expires_at from ${records} where ${sweepable} order by expires_at limit $1::int
      ) as slice`,
    sweepUntil: `delete from ${records} where expires_at <= $1::timestamptz and ${sweepable} and not ${fenced}`,
    buryUntil: `update ${records} set ${buried} where expires_at <= $1::timestamptz and ${sweepable} and ${fenced}`,
  };
}

/** Every statement of the store, made once for a schema. Each says why two of them at once are fine. */

export interface Statements {
  readonly begin: string;
  readonly limits: string;
  readonly checkAndLock: string;
  readonly checkAndProbe: string;
  readonly lookup: string;
  readonly store: string;
  readonly sweep: string;
}

/** What an identifier of ours may be: it needs no quoting rules beyond the quotes. */
export const SCHEMA_NAME: RegExp = /^[a-z_][a-z0-9_]{0,62}$/;

// A handler may hold its transaction silently for 60 s at the most, as when a process is stopped: then its lock is freed.
const LIMITS = {
  lock_timeout: "10s",
  statement_timeout: "30s",
  idle_in_transaction_session_timeout: "60s",
} as const;

/** @param schema already checked against {@link SCHEMA_NAME}. */
export function createStatements(schema: string): Statements {
  const records = `"${schema}".records`;
  const thisTicket = "key = $1::text and scope = $2::text and target = $3::text";
  const live = "expires_at > statement_timestamp()";
  return Object.freeze({
    // READ COMMITTED whatever the database's default is: the look-up needs a snapshot newer than the lock.
    // READ WRITE makes a standby refuse, where the lock would hold and mean nothing.
    begin: "begin isolation level read committed read write",

    // Touches only this transaction's settings, and only lowers them: a stricter limit of the role or database stays.
    limits: `select ${Object.entries(LIMITS).map(limit).join(", ")}`,

    // Takes the lock only where no record is visible, and never waits. Two at once: one gets the lock, the other reads false.
    // The check's snapshot may be older than the lock, which is why the look-up that decides is a statement of its own.
    checkAndLock: `
      select case
        when exists (select 1 from ${records} where ${thisTicket} and ${live}) then null
        else pg_try_advisory_xact_lock($4::bigint)
      end`,

    // The same question asked without keeping the lock: shared probes do not exclude each other, and the batch that asks
    // ends its transaction in the same flight. A first request that meets one for that moment tries again.
    checkAndProbe: `
      select case
        when exists (select 1 from ${records} where ${thisTicket} and ${live}) then null
        else pg_try_advisory_xact_lock_shared($4::bigint)
      end`,

    // Reads only, in a snapshot taken after the lock: under the lock it sees every record that was committed before.
    lookup: `
      select encode(fingerprint, 'hex'), status, headers, encode(body, 'hex'),
        floor(extract(epoch from expires_at - statement_timestamp()) * 1000)::bigint
      from ${records}
      where ${thisTicket} and ${live}`,

    // The fence. Absent and expired are one condition: an expired row is overwritten. Where a live one stands, by whatever
    // way, the fingerprint becomes null and NOT NULL fails the statement, so the COMMIT behind it in the batch never runs.
    store: `
      insert into ${records} as record
        (key, scope, target, fingerprint, status, headers, body, created_at, expires_at)
      values ($1::text, $2::text, $3::text, $4::bytea, $5::smallint, $6::text, $7::bytea,
        statement_timestamp(), statement_timestamp() + $8::bigint * interval '1 millisecond')
      on conflict (key, scope, target) do update set
        fingerprint = case when record.expires_at <= excluded.created_at then excluded.fingerprint end,
        status = excluded.status,
        headers = excluded.headers,
        body = excluded.body,
        created_at = excluded.created_at,
        expires_at = excluded.expires_at`,

    // Two sweeps pass over each other's rows; a row that a retry is overwriting right now is locked and left alone.
    sweep: `
      delete from ${records}
      where ctid = any (array(
        select ctid from ${records}
        where expires_at <= statement_timestamp()
        order by expires_at
        limit $1::int
        for update skip locked
      ))`,
  });
}

// A value of 0 means no limit at all, so it counts as longer than ours.
function limit([name, ours]: [string, string]): string {
  const current = `current_setting('${name}')`;
  return `set_config('${name}', case when ${current}::interval between interval '1 millisecond' and interval '${ours}'
    then ${current} else '${ours}' end, true)`;
}

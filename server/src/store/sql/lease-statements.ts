/**
 * The statements of strategy `lease`. Each comment explains why it is safe to run twice at once.
 */

export interface LeaseStatements {
  readonly claimLease: string;
  readonly takeLease: string;
  readonly renewLease: string;
  readonly rememberStep: string;
  readonly finishLease: string;
  readonly failLease: string;
  readonly freeLease: string;
  readonly giveBackLease: string;
  readonly leaseState: string;
}

/** @param thisTicket the condition on key, scope and target, which are `$1` to `$3`. */
export function leaseStatements(records: string, thisTicket: string): LeaseStatements {
  const ownLease = `${thisTicket} and owner = $4::uuid and status is null`;
  return {
    // Two at once: one writes the row, the other waits for that, or gives up by its lock timeout, and inserts nothing. A row that
    // is there is not touched: a replay takes no lock, and its COMMIT has nothing to write.
    claimLease: `
      insert into ${records} (key, scope, target, fingerprint, owner, lease_until, created_at, expires_at)
      values ($1::text, $2::text, $3::text, $4::bytea, $5::uuid,
        statement_timestamp() + $6::bigint * interval '1 millisecond', statement_timestamp(),
        statement_timestamp() + $7::bigint * interval '1 millisecond')
      on conflict (key, scope, target) do nothing
      returning attempt, steps`,

    // Takes over an expired row, or a lease that is over, by the clock of the database and only for
    // the same request. Takes the owner's own row again ($8) if the answer to its first claim was
    // lost. Two at once: the second waits for the row, or times out, and then finds a lease that
    // runs.
    takeLease: `
      update ${records} set
        fingerprint = $4::bytea,
        status = null,
        headers = null,
        body = null,
        owner = $5::uuid,
        lease_until = statement_timestamp() + $6::bigint * interval '1 millisecond',
        attempt = case
          when status is not null or owner is null then 1
          when owner = $5::uuid then attempt
          else attempt + 1
        end,
        steps = case when status is null then steps end,
        created_at = statement_timestamp(),
        expires_at = statement_timestamp() + $7::bigint * interval '1 millisecond'
      where ${thisTicket} and (
        (status is not null and expires_at <= statement_timestamp())
        or (status is null and owner is null and expires_at <= statement_timestamp())
        or (status is null and fingerprint = $4::bytea
          and (lease_until <= statement_timestamp() or owner = $8::uuid)))
      returning attempt, steps`,

    // Each of these repeats the owner: of two owners, only the one that the row names changes anything.
    // A beat that arrives when the lease was given back, on another connection, must not bring it back.
    renewLease: `
      update ${records} set lease_until = statement_timestamp() + $5::bigint * interval '1 millisecond'
      where ${ownLease} and lease_until > '-infinity'::timestamptz`,
    // An owner's steps only ever grow: of two writes the longer one contains the other. A late
    // write, which timed out without an answer, removes nothing.
    rememberStep: `
      update ${records} set steps = case when octet_length(steps) > octet_length($5::text) then steps else $5::text end
      where ${ownLease}`,
    finishLease: `
      update ${records} set status = $5::smallint, headers = $6::text, body = $7::bytea, lease_until = null, steps = null,
        created_at = statement_timestamp(),
        expires_at = statement_timestamp() + $8::bigint * interval '1 millisecond'
      where ${ownLease}`,
    failLease: `update ${records} set lease_until = '-infinity'::timestamptz where ${ownLease}`,
    freeLease: `delete from ${records} where ${ownLease}`,
    // Free for the same request, which goes on past these steps.
    giveBackLease: `
      update ${records} set lease_until = '-infinity'::timestamptz, steps = $5::text where ${ownLease}`,

    // Reads only: who holds an unfinished row, of what request, and whether its lease still runs.
    leaseState: `
      select encode(fingerprint, 'hex'), lease_until > statement_timestamp() from ${records}
      where ${thisTicket} and status is null and owner is not null`,
  };
}

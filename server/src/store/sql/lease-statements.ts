/**
 * The statements of strategy `lease`. Each comment explains why it is safe to run twice at once.
 */

/** Condition of a lease whose handler gave its key back in order: see `wasGivenBack`. */
export const GIVEN_BACK =
  "coalesce(lease_until = '-infinity' and steps::json ->> '' = attempt::text, false)";

export interface LeaseStatements {
  /** One statement, or two with the same values where an engine does not take the one. */
  readonly claimLease: readonly string[];
  readonly renewLease: string;
  readonly rememberStep: string;
  readonly finishLease: string;
  readonly failLease: string;
  readonly freeLease: string;
  readonly giveBackLease: string;
  readonly lookupLease: string;
}

/** Parts of statements that the strategies share. */
interface Shared {
  readonly records: string;
  /** The condition on key, scope and target, which are `$1` to `$3`. */
  readonly thisTicket: string;
  readonly finished: string;
  /** The columns of a look-up, the fingerprint first and the status second. */
  readonly columns: string;
  /** The end of a look-up: see `createStatements`. */
  readonly one: string;
  readonly isCitus: boolean;
}

export function leaseStatements({
  records,
  thisTicket,
  finished,
  columns,
  one,
  isCitus,
}: Shared): LeaseStatements {
  const ownLease = `${thisTicket} and owner = $4::uuid and status is null`;
  // An expired row, or a lease that is over, by the clock of the database and only for the same request. Or the owner's own row
  // ($8), if the answer to its first claim was lost.
  const takeable = (row: string): string => `(
        (${row}.status is not null
          and greatest(${row}.expires_at, ${row}.fence_until) <= statement_timestamp())
        or (${row}.status is null and ${row}.owner is null and ${row}.expires_at <= statement_timestamp())
        or (${row}.status is null and ${row}.fingerprint = $4::bytea
          and (${row}.lease_until <= statement_timestamp() or ${row}.owner = $8::uuid)))`;
  const inserted = `insert into ${records} as record
        (key, scope, target, fingerprint, owner, lease_until, created_at, expires_at)`;
  // The owner is never null: naming $8 gives both statements for Citus the same values.
  const values = `$1::text, $2::text, $3::text, $4::bytea, coalesce($5::uuid, $8::uuid),
        statement_timestamp() + $6::bigint * interval '1 millisecond', statement_timestamp(),
        statement_timestamp() + $7::bigint * interval '1 millisecond'`;
  const taken = `
        fingerprint = $4::bytea,
        status = null,
        headers = null,
        body = null,
        owner = $5::uuid,
        lease_until = statement_timestamp() + $6::bigint * interval '1 millisecond',
        attempt = case
          when record.status is not null or record.owner is null then 1
          when record.owner = $5::uuid then record.attempt
          else record.attempt + 1
        end,
        steps = case when record.status is null then record.steps end,
        created_at = statement_timestamp(),
        expires_at = statement_timestamp() + $7::bigint * interval '1 millisecond',
        fence_until = null,
        recoveries = null,
        recover_at = null`;
  const returned = "returning record.attempt, record.steps";
  return {
    // Two at once: one writes the row; the second waits for that, or gives up by its lock timeout, and finds a lease that runs. A
    // row that cannot be taken is not touched: a replay and a waiter take no lock, and their COMMIT has nothing to write.
    claimLease: isCitus
      ? [
          `${inserted} values (${values}) on conflict (key, scope, target) do nothing ${returned}`,
          `update ${records} as record set ${taken}
      where ${thisTicket} and ${takeable("record")} ${returned}`,
        ]
      : [
          `${inserted} select ${values}
      where not exists (
        select from ${records} as other where ${thisTicket} and ${takeable("other")} is not true)
      on conflict (key, scope, target) do update set ${taken}
      where ${takeable("record")} ${returned}`,
        ],

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
        recoveries = null, recover_at = null, created_at = statement_timestamp(),
        expires_at = statement_timestamp() + $8::bigint * interval '1 millisecond',
        fence_until = statement_timestamp() + $9::bigint * interval '1 millisecond'
      where ${ownLease}`,
    failLease: `update ${records} set lease_until = '-infinity'::timestamptz where ${ownLease}`,
    freeLease: `delete from ${records} where ${ownLease}`,
    // Free for the same request, which goes on past these steps.
    giveBackLease: `
      update ${records} set lease_until = '-infinity'::timestamptz, steps = $5::text where ${ownLease}`,

    // Reads only: the record, or who holds an unfinished row, of what request, and whether its lease still runs.
    lookupLease: `
      select ${columns}, lease_until > statement_timestamp() from ${records}
      where ${thisTicket} and ((${finished}) or (status is null and owner is not null)) ${one}`,
  };
}

/**
 * Every statement of the store, made once for a schema and an engine. Each comment explains why it
 * is safe to run twice at once.
 */
import type { Statement } from "../postgres/batch.ts";
import type { Dialect } from "../postgres/dialect.ts";
import { leaseStatements } from "./lease-statements.ts";
import type { LeaseStatements } from "./lease-statements.ts";
import { sweepStatements } from "./sweep-statements.ts";
import type { SweepStatements } from "./sweep-statements.ts";
import {
  DEFAULT_MAX_HANDLER_MS,
  limitExpressions,
  setCommand,
  setCommands,
  setLimits,
  stricter,
} from "../postgres/timeouts.ts";

export interface Statements extends LeaseStatements, SweepStatements {
  /** Begins a transaction that ends in the same batch. */
  readonly begin: readonly Statement[];
  /** Begins a transaction that stays open. */
  readonly open: readonly Statement[];
  readonly impatient: string;
  readonly impatientWithoutFlush: readonly Statement[];
  readonly awaitTable: readonly Statement[];
  readonly patient: string;
  readonly commitAndBegin: readonly Statement[];
  readonly checkAndLock: string;
  readonly checkAndProbe: string;
  /** One statement, or two with the same values where an engine does not take the one. */
  readonly claimUnique: readonly string[];
  readonly claimRow: readonly string[];
  readonly lockRow: string;
  readonly lockPending: string;
  readonly probeRow: string;
  readonly renamePending: string;
  readonly pendingRow: string;
  readonly lookup: string;
  /** Ends the batch of a claim: sets the limits of the handler's transaction, and looks up. */
  readonly lookupLast: (values: readonly string[]) => readonly Statement[];
  readonly store: string;
}

/** Pattern of a schema name: it needs no escaping inside the quotes. */
export const SCHEMA_NAME: RegExp = /^[a-z_][a-z0-9_]{0,62}$/;

/**
 * @param schema already checked against {@link SCHEMA_NAME}.
 * @param maxHandlerMs how long a handler may hold its transaction.
 */
export function createStatements(
  schema: string,
  dialect: Dialect,
  maxHandlerMs: number = DEFAULT_MAX_HANDLER_MS,
): Statements {
  const records = `"${schema}".records`;
  const thisTicket = "key = $1::text and scope = $2::text and target = $3::text";
  // The end of a row: of its key, which outlives the response. `greatest` ignores null: only a
  // finished row has a fence.
  const endsAt = "greatest(expires_at, fence_until)";
  const finished = `status is not null and ${endsAt} > statement_timestamp()`;
  const pending = "status is null and owner is null and expires_at > statement_timestamp()";
  const unfinished =
    "fingerprint = $4::bytea, status = null, headers = null, body = null, owner = null, lease_until = null, steps = null, fence_until = null, recoveries = null, recover_at = null";
  const isCitus = dialect.kind === "citus";
  const isPartitioned = dialect.kind === "postgres" && dialect.isPartitioned === true;
  // Lets the planner see that one partition is read, whatever the key: it then plans the statement once, and not for each key.
  const one = isPartitioned ? "limit 1" : "";
  const begin = beginOn(dialect);
  const limits = limitsOn(dialect, maxHandlerMs);
  // An expired response is not read, although the sweep has not removed it yet.
  const columns = `encode(fingerprint, 'hex'), status,
        case when expires_at > statement_timestamp() then headers end,
        case when expires_at > statement_timestamp() then encode(body, 'hex') end,
        floor(extract(epoch from expires_at - statement_timestamp()) * 1000)::bigint, owner,
        floor(extract(epoch from ${endsAt} - statement_timestamp()) * 1000)::bigint`;
  const lookup = `select ${columns} from ${records} where ${thisTicket} and ${finished} ${one}`;
  const found = isPartitioned
    ? `lateral (select * from ${records} where ${thisTicket} and ${finished} ${one}) as found on true`
    : `${records} on ${thisTicket} and ${finished}`;
  const lookupAndLimit = `
      select ${columns}, ${limitExpressions(maxHandlerMs).join(", ")}
      from (values (1)) as always left join ${found}`;
  // Writes an unfinished row, or makes one of an expired one. A row that still counts is left alone by the first condition,
  // without a lock on it; by the second if it was committed just now.
  const claim = (expiresAt: string): string => `
      insert into ${records} as record (key, scope, target, fingerprint, created_at, expires_at)
      select $1::text, $2::text, $3::text, $4::bytea, statement_timestamp(), ${expiresAt}
      where not exists (
        select from ${records} where ${thisTicket} and ${endsAt} > statement_timestamp())
      on conflict (key, scope, target) do update set ${unfinished},
        created_at = excluded.created_at, expires_at = excluded.expires_at
      where greatest(record.expires_at, record.fence_until) <= statement_timestamp()`;
  // The same for Citus, which routes no INSERT … SELECT to a shard.
  const claimInTwo = (expiresAt: string): string[] => [
    `
      update ${records} set ${unfinished}, created_at = statement_timestamp(), expires_at = ${expiresAt}
      where ${thisTicket} and ${endsAt} <= statement_timestamp()`,
    `
      insert into ${records} (key, scope, target, fingerprint, created_at, expires_at)
      values ($1::text, $2::text, $3::text, $4::bytea, statement_timestamp(), ${expiresAt})
      on conflict (key, scope, target) do nothing`,
  ];
  const claimOn = (expiresAt: string): string[] =>
    isCitus ? claimInTwo(expiresAt) : [claim(expiresAt)];
  return Object.freeze({
    begin,
    open: [...begin, ...limits],

    // Around a statement that would wait for another transaction: a waiter is to give its connection back, not to queue on it.
    impatient: IMPATIENT,
    // The commit of such a transaction need not reach the disk by itself: a later commit, behind it in the log, takes it along.
    impatientWithoutFlush: impatientWithoutFlushOn(dialect),
    // In place of these for a second try: the lock of a table is held for milliseconds, and a connection is in use for so long.
    awaitTable: awaitTableOn(dialect),
    patient: "set local lock_timeout to default",

    // The next transaction has the isolation level of the first.
    commitAndBegin: isCitus ? [{ text: "commit" }, ...begin] : [{ text: "commit and chain" }],

    // Takes the lock only where no record is visible, and never waits. Two at once: one gets the lock, the other reads false.
    // The check's snapshot may be older than the lock, which is why the look-up that decides is a statement of its own.
    checkAndLock: `
      select case
        when exists (select 1 from ${records} where ${thisTicket} and ${finished}) then null
        else pg_try_advisory_xact_lock($4::bigint)
      end`,

    // The same question asked without keeping the lock: shared probes do not exclude each other, and the batch that asks
    // ends its transaction in the same flight. A first request that meets one for that moment tries again.
    checkAndProbe: `
      select case
        when exists (select 1 from ${records} where ${thisTicket} and ${finished}) then null
        else pg_try_advisory_xact_lock_shared($4::bigint)
      end`,

    // Strategy unique. Two at once: the second waits for the first one's transaction, or gives up by its lock timeout; what it
    // finds then is finished and counts, so it writes nothing. The row is born expired, so that nothing but a finished one ever
    // counts, even if a handler commits by itself.
    claimUnique: claimOn("statement_timestamp()"),

    // Strategy row, committed at once. Two at once: both end with one row, and the lock on it decides which request runs. An
    // expired row that a handler still holds is locked: then this gives up.
    claimRow: claimOn("statement_timestamp() + $5::bigint * interval '1 millisecond'"),

    // Never waits: of two, one gets the row and the other none. A row that was finished in between
    // is no longer pending, and a row that names another request is not ours. So the holder of the
    // row is always the request that it names.
    lockRow: `
      select 1 from ${records}
      where ${thisTicket} and ${pending} and fingerprint = $4::bytea
      ${one} for update skip locked`,

    // Whatever request it names, and weaker than the lock of a handler, which it respects. Two at once: one gets the row.
    lockPending: `
      select 1 from ${records}
      where ${thisTicket} and ${pending}
      ${one} for no key update skip locked`,

    // Finds the row unless a handler holds it: the lock above does not keep it away. Any number at once, and none waits; a
    // handler that would begin at that moment tries again.
    probeRow: `
      select 1 from ${records}
      where ${thisTicket} and ${pending}
      ${one} for key share skip locked`,

    // Runs under that lock, so never twice at once. Names a row that an earlier request left behind
    // after the request that begins now.
    renamePending: `
      update ${records} set fingerprint = $4::bytea, created_at = statement_timestamp(),
        expires_at = statement_timestamp() + $5::bigint * interval '1 millisecond'
      where ${thisTicket} and ${pending}`,

    // Reads only. After probeRow it returns the request that a handler works on.
    pendingRow: `select encode(fingerprint, 'hex') from ${records} where ${thisTicket} and ${pending} ${one}`,

    ...leaseStatements({ records, thisTicket, finished, columns, one, isCitus }),

    // Reads only, in a snapshot taken after the lock: under the lock it sees every record that was committed before.
    lookup,

    // The same, and one row with nulls where there is none, so that the limits are always set.
    lookupLast: (values: readonly string[]): Statement[] =>
      isCitus ? [...limits, { text: lookup, values }] : [{ text: lookupAndLimit, values }],

    // The fence. Absent and expired are one condition: an expired row is overwritten, and so is a
    // row that this transaction holds unfinished. If any other row stands, the fingerprint becomes
    // null and NOT NULL fails the statement. Then the COMMIT behind it in the batch never runs.
    store: `
      insert into ${records} as record
        (key, scope, target, fingerprint, status, headers, body, created_at, expires_at, fence_until)
      values ($1::text, $2::text, $3::text, $4::bytea, $5::smallint, $6::text, $7::bytea,
        statement_timestamp(), statement_timestamp() + $8::bigint * interval '1 millisecond',
        statement_timestamp() + $9::bigint * interval '1 millisecond')
      on conflict (key, scope, target) do update set
        fingerprint = case
          when greatest(record.expires_at, record.fence_until) <= excluded.created_at
            then excluded.fingerprint
          when record.status is null and record.owner is null then excluded.fingerprint
        end,
        status = excluded.status,
        headers = excluded.headers,
        body = excluded.body,
        owner = null,
        lease_until = null,
        steps = null,
        recoveries = null,
        recover_at = null,
        attempt = excluded.attempt,
        created_at = excluded.created_at,
        expires_at = excluded.expires_at,
        fence_until = excluded.fence_until`,

    ...sweepStatements(records),
  });
}

// READ COMMITTED whatever the database's default is: the look-up needs a snapshot newer than the
// lock. READ WRITE makes a standby refuse: a lock there would exclude no session of the primary.
function beginOn(dialect: Dialect): Statement[] {
  const begin = { text: "begin isolation level read committed read write" };
  if (dialect.kind === "postgres") return [begin];
  // Or the settings below would bound nothing on the node that has the shard.
  return [begin, { text: "set local citus.propagate_set_commands = 'local'" }];
}

const IMPATIENT = "set local lock_timeout = '20ms'";

function impatientWithoutFlushOn({ kind }: Dialect): Statement[] {
  if (kind === "citus") return [{ text: IMPATIENT }, { text: NO_FLUSH }];
  const text =
    "select set_config('lock_timeout', '20ms', true), set_config('synchronous_commit', 'off', true)";
  return [{ text }];
}

function awaitTableOn(dialect: Dialect): Statement[] {
  const text =
    dialect.kind === "postgres"
      ? `select ${stricter("lock_timeout", TABLE_LOCK)}`
      : setCommand("lock_timeout", TABLE_LOCK, dialect.limits);
  return [{ text }];
}

const TABLE_LOCK = "5s";

export const NO_FLUSH = "set local synchronous_commit = off";

// Citus propagates `set` commands to its nodes, but not set_config.
function limitsOn(dialect: Dialect, maxHandlerMs: number): Statement[] {
  const texts =
    dialect.kind === "postgres"
      ? [setLimits(maxHandlerMs)]
      : setCommands(dialect.limits, maxHandlerMs);
  return texts.map((text) => ({ text }));
}

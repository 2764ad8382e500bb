/** Adds the partitions of the days to come, and drops those of days that are over. One process at a time. */
import type { PoolClient } from "pg";
import { purposeLockId } from "../lock-id.ts";
import { queryPlain } from "../postgres/plain-query.ts";
import { sqlState } from "../postgres/transaction.ts";
import { withConnection } from "../round-trip.ts";
import { GIVEN_BACK } from "../sql/lease-statements.ts";
import {
  boundOf,
  createDay,
  DAY_MS,
  hasDay,
  instantOf,
  missingDays,
  partitionOf,
  readDays,
  UUID_V7,
} from "../sql/days.ts";
import type { DayTable } from "../sql/days.ts";
import type { StoreParts } from "../store-parts.ts";
import type { Unavailable } from "../store.ts";

/** Number of partitions that were added and dropped. */
export interface KeptDays {
  readonly created: number;
  readonly dropped: number;
}

// A day is dropped a day after its end at the earliest, so that a younger key need not be asked about: see `mayBeDropped`.
const MIN_AGE_MS = DAY_MS;
// For so long a request may wait behind this process, which tries again at its next sweep.
const LOCK_WAIT_MS = 100;

// The expression of the index `records_ends`. A lease that runs is in `records_open`.
const STANDS = "greatest(expires_at, fence_until) > statement_timestamp()";
// A lease whose effects are not known stays until it is decided, or until the sweep has announced its end.
const UNDECIDED = `status is null and owner is not null and not ${GIVEN_BACK}`;
const OF_DAY = `key ~ '${UUID_V7}'`;

/** Adds and drops what is due. Partitions that are locked are left for the next time. Throws what the database throws. */
export async function keepDays(parts: StoreParts): Promise<KeptDays> {
  const { schema } = parts;
  let table = await read(parts);
  let created = 0;
  for (const day of missingDays(table)) {
    const outcome = await alone(parts, (client) => createDay(client, schema, day));
    if (outcome === true) created += 1;
    if (outcome === "locked") break;
  }
  let dropped = 0;
  for (;;) {
    const [oldest] = table.days;
    if (oldest === undefined || !table.isDue || oldest + DAY_MS + MIN_AGE_MS > table.now) break;
    const outcome = await alone(parts, (client) => dropDay(client, schema, oldest));
    if (outcome === "locked") await lookLater(parts);
    if (outcome !== true) break;
    dropped += 1;
    table = await read(parts);
  }
  return { created, dropped };
}

async function read({ connect, schema }: StoreParts): Promise<DayTable> {
  const table = await withConnection(connect, async (connection) => {
    const found = await readDays(connection.client, schema);
    connection.release();
    return found;
  });
  if ("kind" in table) throw table.cause;
  return table;
}

/** Runs `work` in a transaction of its own, unless another process is at it (`busy`) or a lock is not to be had (`locked`). */
async function alone<Result extends boolean>(
  { connect, schema }: StoreParts,
  work: (client: PoolClient) => Promise<Result>,
): Promise<Result | "busy" | "locked"> {
  const outcome = await withConnection<{ result: Result | "busy" } | Unavailable>(
    connect,
    async (connection) => {
      const { client } = connection;
      await client.query("begin isolation level read committed read write");
      const { rows } = await queryPlain<{ mine: boolean }>(
        client,
        `select pg_try_advisory_xact_lock($1::bigint) as mine, set_config('lock_timeout', $2::text, true)`,
        [purposeLockId(schema, "days"), String(LOCK_WAIT_MS)],
      );
      const result = rows[0]?.mine === true ? await work(client) : "busy";
      await client.query("commit");
      connection.release();
      return { result };
    },
  );
  if ("result" in outcome) return outcome.result;
  // A lock that was not granted in time, or a request that held one half-way (a deadlock).
  const state = sqlState(outcome.cause);
  if (state === "55P03" || state === "40P01") return "locked";
  throw outcome.cause;
}

/** Requests wait while a process waits for the lock of all days: one try a minute, of all processes. */
async function lookLater(parts: StoreParts): Promise<void> {
  await alone(parts, async (client) => {
    await client.query(
      `update "${parts.schema}".days set look_at = statement_timestamp() + interval '1 minute'`,
    );
    return true;
  });
}

/**
 * Drops a day unless a record of its keys still stands. Other keys that sort among its own stay, in the default partition.
 *
 * Only writers of this day wait while it is read, and it is over since a day at least. Then all days are locked for the moment of
 * the drop. A request that holds one of these locks in the other order ends this transaction by its lock timeout.
 */
async function dropDay(client: PoolClient, schema: string, day: number): Promise<boolean> {
  // Another process was first.
  if (!(await hasDay(client, schema, day))) return false;
  const table = `"${schema}".${partitionOf(day)}`;
  const days = `"${schema}".records_days`;
  await client.query(`lock table ${table} in share row exclusive mode`);
  await client.query("set local enable_seqscan = off; set local jit = off");
  const held = await findStanding(client, table);
  if (held !== undefined) {
    await client.query(
      `update "${schema}".days set look_at = greatest(statement_timestamp(),
         least($1::timestamptz, statement_timestamp() + interval '1 day'))`,
      [held],
    );
    return false;
  }
  await client.query(`lock table only ${days} in access exclusive mode`);
  await client.query(`alter table ${days} detach partition ${table}`);
  await client.query(moveStrays(days, table));
  await client.query(`drop table ${table}`);
  await client.query(
    `update "${schema}".days set dropped_until = '${boundOf(day + DAY_MS)}', look_at = '-infinity'`,
  );
  return true;
}

/** Returns when a record of a key of this day ends: the day goes no sooner. `undefined` if none stands. */
async function findStanding(client: PoolClient, table: string): Promise<string | undefined> {
  const { rows } = await queryPlain<{ until: string }>(client, standingOf(table));
  return rows[0]?.until;
}

/**
 * Reads the two indexes, and rows only in the ranges that may hold one that stands, up to the first that does. Two at once: the
 * advisory lock of the days lets one process in.
 */
export function standingOf(table: string): string {
  const first = (condition: string): string =>
    `(select greatest(expires_at, fence_until, lease_until)::text as until from ${table} where ${condition} and ${OF_DAY} limit 1)`;
  return `${first(STANDS)} union all ${first(UNDECIDED)} limit 1`;
}

/** Moves rows of other keys that stand. No key of the day does any more, so few ranges are read. Two at once: as {@link standingOf}. */
export function moveStrays(days: string, table: string): string {
  return `insert into ${days} select * from ${table} where ctid = any (array(
    select ctid from ${table} where ${STANDS} union all select ctid from ${table} where ${UNDECIDED}))`;
}

const UUID_V7_KEY = new RegExp(UUID_V7);

/** Whether the day of a key may have been dropped: the table has to be asked. */
export function mayBeDropped(key: string, now: number = Date.now()): boolean {
  return UUID_V7_KEY.test(key) && instantOf(key) < now - MIN_AGE_MS;
}

/** Whether the day of a key was dropped, of a table that has partitions. */
export function isDropped(
  { connect, dialect, schema }: StoreParts,
  key: string,
): false | Promise<boolean | Unavailable> {
  if (dialect.kind === "citus" || !dialect.isPartitioned) return false;
  return withConnection<boolean | Unavailable>(connect, async (connection) => {
    const { rows } = await queryPlain<{ dropped: boolean }>(
      connection.client,
      `select exists (select from "${schema}".days where first_key <= $1::text and $1::text < dropped_until) as dropped`,
      [key],
    );
    connection.release();
    return rows[0]?.dropped === true;
  });
}

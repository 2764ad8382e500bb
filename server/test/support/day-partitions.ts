/** Partitions of days that have passed, for tests that end one. */
import type pg from "pg";
import { v7 } from "uuid";
import { boundOf, createDay, DAY_MS } from "../../src/store/sql/days.ts";

/** The beginning of the day so many days ago, by the clock of this process. */
export function daysAgo(days: number): number {
  const now = Date.now();
  return now - (now % DAY_MS) - days * DAY_MS;
}

/** A UUIDv7 of noon of a day. */
export function keyOf(day: number): string {
  return v7({ msecs: day + DAY_MS / 2 });
}

/** Adds partitions of past days, as if the table had had them since then. */
export async function addPastDays(pool: pg.Pool, ...ago: readonly number[]): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query("begin");
    const days = ago.map(daysAgo);
    await client.query(
      "alter table oncekey.records detach partition oncekey.records_days; lock table oncekey.records_days",
    );
    await client.query(
      `alter table oncekey.records attach partition oncekey.records_days for values from ('${boundOf(daysAgo(400))}') to ('03000000-0000')`,
    );
    await client.query(
      `update oncekey.days set first_key = '${boundOf(daysAgo(400))}', dropped_until = '${boundOf(daysAgo(400))}', look_at = '-infinity'`,
    );
    for (const day of days) await createDay(client, "oncekey", day);
    await client.query("commit");
  } finally {
    client.release();
  }
}

/** Names of the partitions of days that there are, the oldest first. */
export async function partitions(pool: pg.Pool): Promise<string[]> {
  const { rows } = await pool.query<{ relname: string }>(
    `select relname from pg_inherits join pg_class on pg_class.oid = inhrelid
     where inhparent = 'oncekey.records_days'::regclass and relname <> 'records_days_other' order by relname`,
  );
  return rows.map(({ relname }) => relname);
}

export interface Row {
  readonly key: string;
  /** Seconds from now on; below 0 if it is over. */
  readonly expiresIn: number;
  readonly fencedFor: number;
  readonly isTombstone?: boolean;
}

/** Adds finished rows with the body "made". */
export async function addRows(pool: pg.Pool, ...rows: readonly Row[]): Promise<void> {
  for (const { key, expiresIn, fencedFor, isTombstone = false } of rows) {
    await pool.query(
      `insert into oncekey.records (key, scope, target, fingerprint, status, headers, body, created_at, expires_at, fence_until)
       values ($1, 's', 'POST /pay', '\\x0102', 201, case when not $4::boolean then '[]' end, case when not $4::boolean then 'made'::bytea end, now(),
         now() + case when $4::boolean then $3::float8 else $2::float8 end * interval '1 second',
         case when not $4::boolean then now() + $3::float8 * interval '1 second' end)`,
      [key, expiresIn, fencedFor, isTombstone],
    );
  }
}

/** Returns the table that a key's row is in. */
export async function tableOf(pool: pg.Pool, key: string): Promise<string | undefined> {
  const { rows } = await pool.query<{ relname: string }>(
    "select relname from oncekey.records join pg_class on pg_class.oid = records.tableoid where key = $1",
    [key],
  );
  return rows[0]?.relname;
}

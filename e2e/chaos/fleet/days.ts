/** The partitions of the rig's days: made old, held, taken back and looked at, in SQL of the rig's own. */
import type { Pool } from "pg";
import { DAY_MS, headOf } from "../protocol/days.ts";
import type { Days } from "../protocol/days.ts";

function partitionOf(day: number): string {
  return `records_${new Date(day).toISOString().slice(0, 10).replaceAll("-", "")}`;
}

/** Gives a new table its old days, as if it had had them since then. */
export async function addOldDays(pool: Pool, { old }: Pick<Days, "old">): Promise<void> {
  const first = headOf(old[0] ?? 0);
  const partitions = old.map(
    (day) =>
      `create table oncekey.${partitionOf(day)} partition of oncekey.records_days
         for values from ('${headOf(day)}') to ('${headOf(day + DAY_MS)}');`,
  );
  await pool.query(`
    alter table oncekey.records detach partition oncekey.records_days;
    alter table oncekey.records attach partition oncekey.records_days for values from ('${first}') to ('03000000-0000');
    update oncekey.days set first_key = '${first}', dropped_until = '${first}';
    ${partitions.join("\n")}`);
  await holdOldDays(pool, { old });
}

/** Returns the days of a list that have no partition. */
export async function missingOf(pool: Pool, days: readonly number[]): Promise<number[]> {
  const { rows } = await pool.query<{ name: string }>(
    `select relname as name from pg_inherits join pg_class on pg_class.oid = inhrelid
     where inhparent = 'oncekey.records_days'::regclass`,
  );
  const there = new Set(rows.map(({ name }) => name));
  return days.filter((day) => !there.has(partitionOf(day)));
}

/** Until its time in the run a day is held by a lease that runs. */
const HOLDER = "the rig";

async function holdOldDays(pool: Pool, { old }: Pick<Days, "old">): Promise<void> {
  await pool.query(
    `insert into oncekey.records (key, scope, target, fingerprint, owner, lease_until, created_at, expires_at)
     select key, $2, 'POST /hold', '\\x01', gen_random_uuid(), now() + interval '1 day', now(), now() + interval '1 day'
     from unnest($1::text[]) as key`,
    [old.map(holderOf), HOLDER],
  );
}

/** Lets the days end whose time in the run is over: no new key is put into them. */
export async function releaseDays(pool: Pool, days: readonly number[]): Promise<void> {
  await pool.query("delete from oncekey.records where key = any($1) and scope = $2", [
    days.map(holderOf),
    HOLDER,
  ]);
}

/** The lowest UUIDv7 of a day. */
function holderOf(day: number): string {
  return `${headOf(day)}-7000-8000-000000000000`;
}

/** Removes the partition of a day and keeps its records, as if no server had added the day yet. */
export async function takeBack(pool: Pool, day: number): Promise<void> {
  const table = `oncekey.${partitionOf(day)}`;
  // One implicit transaction. Requests wait for the lock for so long at most.
  await pool.query(`
    set local lock_timeout = '50ms';
    lock table only oncekey.records_days in access exclusive mode;
    alter table oncekey.records_days detach partition ${table};
    insert into oncekey.records_days select * from ${table};
    drop table ${table}`);
}

/** Lets the servers try to drop the oldest day at their next sweep, although a handler may have kept them from it just now. */
export async function lookAgain(pool: Pool): Promise<void> {
  await pool.query("update oncekey.days set look_at = '-infinity'");
}

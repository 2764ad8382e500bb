/** The partitions by the day of a UUIDv7 key: their names and bounds, and how one is added. */
import type { PoolClient } from "pg";
import { queryPlain } from "../postgres/plain-query.ts";

export const DAY_MS = 86_400_000;

/** Partitions are made for so many days after today: the servers may all be away for as long. */
export const DAYS_AHEAD = 7;

/** A key in the form whose first 12 digits sort by time. Upper-case digits sort elsewhere, so such a key is like any other. */
export const UUID_V7 = "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$";

/** The lowest text that a UUIDv7 key of an instant or a later one can be. */
export function boundOf(ms: number): string {
  const digits = ms.toString(16).padStart(12, "0");
  return `${digits.slice(0, 8)}-${digits.slice(8)}`;
}

/** The instant of a bound, or of a key that begins like one. */
export function instantOf(bound: string): number {
  return Number.parseInt(`${bound.slice(0, 8)}${bound.slice(9, 13)}`, 16);
}

/** Name of the partition of the day that begins at an instant. */
export function partitionOf(ms: number): string {
  return `records_${new Date(ms).toISOString().slice(0, 10).replaceAll("-", "")}`;
}

function dayOf(partition: string): number {
  const [, year, month, day] = /^records_(\d{4})(\d\d)(\d\d)$/.exec(partition) ?? [];
  return Date.UTC(Number(year), Number(month) - 1, Number(day));
}

/** A table that holds rows. */
export interface Partition {
  readonly name: string;
  readonly isDay: boolean;
}

/** The tables that hold rows, in the order of their names. */
export function partitionsOf(days: readonly number[]): Partition[] {
  const ofDays = days.map((day) => ({ name: partitionOf(day), isDay: true }));
  const others = ["records_days_other", "records_other"].map((name) => ({ name, isDay: false }));
  return [...ofDays, ...others];
}

/** The partitions of a table at this moment. Instants are milliseconds since 1970. */
export interface DayTable {
  /** By the clock of the database. */
  readonly now: number;
  /** Beginnings of the days that have a partition, the oldest first. */
  readonly days: readonly number[];
  /** The first day that ever had one. */
  readonly firstDay: number;
  /** The end of the last day that was dropped. */
  readonly droppedUntil: number;
  /** Whether the oldest day may be over. */
  readonly isDue: boolean;
}

interface DayRow {
  readonly now: number;
  readonly names: string | null;
  readonly firstKey: string;
  readonly droppedUntil: string;
  readonly isDue: boolean;
}

/** Reads only. Throws what the database throws. */
export async function readDays(client: PoolClient, schema: string): Promise<DayTable> {
  const { rows } = await queryPlain<DayRow>(
    client,
    `select (extract(epoch from statement_timestamp()) * 1000)::float8 as now,
       (select string_agg(relname, ' ' order by relname) from pg_inherits join pg_class on pg_class.oid = inhrelid
         where inhparent = to_regclass($1::text) and relname ~ '^records_[0-9]{8}$') as names,
       first_key as "firstKey", dropped_until as "droppedUntil", look_at <= statement_timestamp() as "isDue"
     from "${schema}".days`,
    [`"${schema}".records_days`],
  );
  const [row] = rows;
  if (row === undefined) throw new Error(`"${schema}".days has lost its row`);
  return {
    now: row.now,
    days: row.names?.split(" ").map(dayOf) ?? [],
    firstDay: instantOf(row.firstKey),
    droppedUntil: instantOf(row.droppedUntil),
    isDue: row.isDue,
  };
}

/** The days from today on that have no partition. */
export function missingDays({ now, days, firstDay, droppedUntil }: DayTable): number[] {
  const today = now - (now % DAY_MS);
  return Array.from({ length: DAYS_AHEAD + 1 }, (_, ahead) => today + ahead * DAY_MS).filter(
    (day) => day >= firstDay && day >= droppedUntil && !days.includes(day),
  );
}

/** Whether a day has its partition, as this transaction sees it. */
export async function hasDay(client: PoolClient, schema: string, day: number): Promise<boolean> {
  const { rows } = await queryPlain<{ there: boolean }>(
    client,
    "select to_regclass($1::text) is not null as there",
    [`"${schema}".${partitionOf(day)}`],
  );
  return rows[0]?.there === true;
}

/**
 * Adds the partition of a day, in the transaction of the caller. Keys of that day that came before are moved into it: nothing
 * writes to their old partition during the move. Two at once: the caller's lock lets one in, and the second finds the table.
 */
export async function createDay(client: PoolClient, schema: string, day: number): Promise<boolean> {
  if (await hasDay(client, schema, day)) return false;
  const table = `"${schema}".${partitionOf(day)}`;
  const [from, to] = [boundOf(day), boundOf(day + DAY_MS)];
  const days = `"${schema}".records_days`;
  await client.query(
    `create table ${table} (like ${days} including defaults including constraints including comments)
     with (autovacuum_vacuum_scale_factor = 0.01, toast.autovacuum_vacuum_scale_factor = 0.01)`,
  );
  // A request locks the parents first, and reads which partitions there are once it has their locks. One that waited for the
  // partition alone would go on with the partitions of before, and miss the rows that are moved.
  await client.query(`lock table only ${days} in access exclusive mode`);
  await client.query(`lock table ${days}_other in access exclusive mode`);
  await client.query(
    `with moved as (delete from ${days}_other where key >= '${from}' and key < '${to}' returning *)
     insert into ${table} select * from moved`,
  );
  await client.query(
    `alter table ${days} attach partition ${table} for values from ('${from}') to ('${to}')`,
  );
  return true;
}

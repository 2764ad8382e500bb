/** Tables of records of a given size, made in SQL from one record. */
import type pg from "pg";

export type KeyVersion = "v7" | "v4";

/** A table, and the key of the record that all others are copies of. */
export interface RecordsTable {
  readonly pool: pg.Pool;
  readonly template: string;
  /** Version of the copies' keys. */
  readonly version: KeyVersion;
}

/** Bytes of the table and of its indexes, for each response that it keeps. */
export interface RecordSize {
  readonly heapBytes: number;
  readonly indexBytes: number;
}

const CHUNK = 200_000;
/** With fewer responses, half-filled pages decide the size of one. */
const FEWEST_FOR_SIZE = 20_000;
const DAY_S = 86_400;

const KEY: Readonly<Record<KeyVersion, string>> = {
  v4: "gen_random_uuid()::text",
  // RFC 9562 §5.7: the instant in ms, then random bits.
  v7: `substr(at.hex, 1, 8) || '-' || substr(at.hex, 9, 4) || '-7' || substr(bits.hex, 1, 3)
    || '-8' || substr(bits.hex, 4, 3) || '-' || substr(bits.hex, 7, 12)`,
};

/** Adds responses that are kept: a day of even requests, the oldest of which has an hour left. */
export async function addLive(table: RecordsTable, count: number): Promise<void> {
  await addCopies(table, count, 3_600);
  await table.pool.query("vacuum analyze oncekey.records");
}

/** Adds responses that are due for the sweep: a day of even requests. */
export async function addExpired(table: RecordsTable, count: number): Promise<void> {
  await addCopies(table, count, -DAY_S - 1);
}

/** @param endsInS when the oldest copy ends, in seconds from now. */
async function addCopies(
  { pool, template, version }: RecordsTable,
  count: number,
  endsInS: number,
): Promise<void> {
  const own: Readonly<Record<string, string>> = {
    key: KEY[version],
    created_at: "ends - interval '1 day'",
    expires_at: "ends",
  };
  const { rows } = await pool.query<{ name: string }>(
    "select attname as name from pg_attribute where attrelid = 'oncekey.records'::regclass and attnum > 0 and not attisdropped",
  );
  const names = rows.map(({ name }) => name);
  for (let from = 0; from < count; from += CHUNK) {
    await pool.query(
      `insert into oncekey.records (${names.join(", ")})
       select ${names.map((name) => own[name] ?? `template.${name}`).join(", ")}
       from (select * from oncekey.records where key = $6) as template,
         generate_series($1::bigint, $2::bigint) as n,
         lateral (select now() + ($3::float8 + $4::float8 * n / $5::float8) * interval '1 second' as ends) as life,
         lateral (select lpad(to_hex((extract(epoch from ends - interval '1 day') * 1000)::bigint), 12, '0') as hex) as at,
         lateral (select md5(random()::text || n) as hex) as bits`,
      [from, Math.min(from + CHUNK, count) - 1, endsInS, DAY_S, count, template],
    );
  }
}

/** Returns keys of responses that are kept, from all over the table. */
export async function pickKeys(
  { pool, template }: RecordsTable,
  rows: number,
  count: number,
): Promise<string[]> {
  const percent = Math.min(100, (100 * 20 * count) / Math.max(1, rows));
  const { rows: found } = await pool.query<{ key: string }>(
    `select key from oncekey.records tablesample system (${percent})
     where target = (select target from oncekey.records where key = $2)
       and body is not null and expires_at > now()
     order by random() limit $1`,
    [count, template],
  );
  return found.map(({ key }) => key);
}

/** Returns `undefined` if there are too few responses for a mean. */
export async function sizeOfRecord({ pool }: RecordsTable): Promise<RecordSize | undefined> {
  const { rows } = await pool.query<RecordSize & { readonly count: number }>(
    `select pg_relation_size('oncekey.records')::float8 as "heapBytes",
       pg_indexes_size('oncekey.records')::float8 as "indexBytes",
       (select count(*)::float8 from oncekey.records where body is not null) as count`,
  );
  const [row] = rows;
  if (row === undefined || row.count < FEWEST_FOR_SIZE) return undefined;
  return { heapBytes: row.heapBytes / row.count, indexBytes: row.indexBytes / row.count };
}

/** Tables of records of a given size and age, made in SQL. */
import type pg from "pg";

export type KeyVersion = "v7" | "v4";

/** Bytes of one record, in the table and in its indexes. */
export interface RecordSize {
  readonly heapBytes: number;
  readonly indexBytes: number;
}

const CHUNK = 200_000;
const TURNS = 10;
/** With fewer records, half-filled pages decide the size of one. */
const FEWEST_FOR_SIZE = 20_000;
const DAY_S = 86_400;

const KEY: Readonly<Record<KeyVersion, string>> = {
  v4: "gen_random_uuid()::text",
  // RFC 9562 §5.7: the instant in ms, then random bits.
  v7: `substr(at.hex, 1, 8) || '-' || substr(at.hex, 9, 4) || '-7' || substr(bits.hex, 1, 3)
    || '-8' || substr(bits.hex, 4, 3) || '-' || substr(bits.hex, 7, 12)`,
};

/**
 * Copies the one record of the table, with other keys and instants. The copies lie a day apart in
 * the order of their numbers, as if one retention of requests had come evenly.
 *
 * @param expireIn seconds from now to the end of the oldest copy, negative if it has expired.
 */
async function addRecords(
  pool: pg.Pool,
  version: KeyVersion,
  count: number,
  { expireIn, spanS }: { readonly expireIn: number; readonly spanS: number },
): Promise<void> {
  for (let from = 0; from < count; from += CHUNK) {
    await pool.query(
      `insert into oncekey.records
       select filled.*
       from (select record from oncekey.records as record order by created_at limit 1) as template,
         generate_series($1::bigint, $2::bigint) as n,
         lateral (select now() + ($3::float8 + $4::float8 * n / $5::float8) * interval '1 second' as ends) as life,
         lateral (select lpad(to_hex((extract(epoch from ends - interval '1 day') * 1000)::bigint), 12, '0') as hex) as at,
         lateral (select md5(random()::text || n) as hex) as bits,
         lateral jsonb_populate_record(template.record, jsonb_build_object(
           'key', ${KEY[version]},
           'created_at', life.ends - interval '1 day',
           'expires_at', life.ends)) as filled`,
      [from, Math.min(from + CHUNK, count) - 1, expireIn, spanS, count],
    );
  }
}

/** Fills the table with live records: a retention of them, the oldest of which has an hour left. */
export async function fill(pool: pg.Pool, version: KeyVersion, rows: number): Promise<void> {
  await addRecords(pool, version, rows, { expireIn: 3_600, spanS: DAY_S });
  await pool.query("vacuum analyze oncekey.records");
}

/** Lets one retention pass: bit by bit, the oldest records go and as many new ones come. */
export async function turnOver(pool: pg.Pool, version: KeyVersion, rows: number): Promise<void> {
  const part = Math.ceil(rows / TURNS);
  for (let turn = 0; turn < TURNS; turn += 1) {
    const expireIn = 3_600 + DAY_S + (turn * DAY_S) / TURNS;
    await addRecords(pool, version, part, { expireIn, spanS: DAY_S / TURNS });
    await pool.query(
      `delete from oncekey.records where ctid = any (array(
         select ctid from oncekey.records where target = 'POST /uncached'
         order by expires_at limit $1))`,
      [part],
    );
    await pool.query("vacuum analyze oncekey.records");
  }
}

/** Adds records that are due for the sweep. */
export async function addExpired(pool: pg.Pool, version: KeyVersion, count: number): Promise<void> {
  await addRecords(pool, version, count, { expireIn: -7_200, spanS: 3_600 });
}

/** Returns keys of live records, from all over the table. */
export async function pickKeys(pool: pg.Pool, rows: number, count: number): Promise<string[]> {
  const percent = Math.min(100, (100 * 20 * count) / Math.max(1, rows));
  const { rows: found } = await pool.query<{ key: string }>(
    `select key from oncekey.records tablesample system (${percent})
     where target = 'POST /uncached' and expires_at > now() order by random() limit $1`,
    [count],
  );
  return found.map(({ key }) => key);
}

export async function sizeOfRecord(pool: pg.Pool): Promise<RecordSize | undefined> {
  const { rows } = await pool.query<RecordSize & { readonly count: number }>(
    `select pg_relation_size('oncekey.records')::float8 as "heapBytes",
       pg_indexes_size('oncekey.records')::float8 as "indexBytes",
       (select count(*)::float8 from oncekey.records) as count`,
  );
  const [row] = rows;
  if (row === undefined || row.count < FEWEST_FOR_SIZE) return undefined;
  return { heapBytes: row.heapBytes / row.count, indexBytes: row.indexBytes / row.count };
}

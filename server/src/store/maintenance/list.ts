/** Lists records a page at a time: unfinished ones by their index, all others along the primary key. */
import type { Pool } from "pg";
import { queryPlain } from "../postgres/plain-query.ts";
import { OPEN, STATE } from "./record-state.ts";
import type { RecordState } from "./record-state.ts";
import { recordColumns, toRecord } from "./table-record.ts";
import type { RecordRow, TableRecord } from "./table-record.ts";

/** What is listed. */
export interface ListQuery {
  /** Only records in this state. `running` lists leases, whose claim stands in the table. */
  readonly state?: Exclude<RecordState, "expired"> | undefined;
  readonly scope?: string | undefined;
  /** Only records of a route, named by method and path as it was added: `POST /payments/:id`. */
  readonly route?: string | undefined;
  /** Only records that were written more than so many ms ago, by the clock of the database. `@range from 0` */
  readonly olderThan?: number | undefined;
  /** The `cursor` of the page before. */
  readonly cursor?: string | undefined;
  /** The most records of a page. `@range 1–1_000 @default 100` */
  readonly limit?: number | undefined;
}

/** A page of records. */
export interface RecordPage {
  readonly records: TableRecord[];
  /**
   * Asks for the next page; `undefined` on the last one. A page may hold fewer records than `limit`, or none: with a filter it
   * reads 5,000 rows at most.
   */
  readonly cursor: string | undefined;
}

// So that one page of a filter that matches little costs some milliseconds on any table.
const MAX_READ = 5_000;
const READ_AT_ONCE = 500;
const COLUMNS = recordColumns("null::text");
// The states that the partial index holds.
const OPEN_STATES: ReadonlySet<string> = new Set(["running", "crashed", "failed"]);

const FILTERS = `($1::text is null or state = $1::text) and ($2::text is null or scope = $2::text)
  and ($3::text is null or target ~ $3::text)
  and created_at <= statement_timestamp() - $4::float8 * interval '1 millisecond' and state <> 'expired'`;

/**
 * Reads one page. @param pattern a regular expression of the targets of `route`.
 *
 * @throws RangeError for a cursor of something else. What the database throws.
 */
export async function listRecords(
  pool: Pool,
  schema: string,
  query: ListQuery,
  pattern: string | undefined,
): Promise<RecordPage> {
  const { state, scope, olderThan = 0, limit = 100 } = query;
  const filters = [state ?? null, scope ?? null, pattern ?? null, olderThan];
  return state !== undefined && OPEN_STATES.has(state)
    ? listOpen(pool, schema, filters, readCursor(query.cursor, 4), limit)
    : listAll(pool, schema, filters, readCursor(query.cursor, 3), limit);
}

/** Unfinished records, the oldest first. */
async function listOpen(
  pool: Pool,
  schema: string,
  filters: readonly unknown[],
  cursor: readonly string[] | undefined,
  limit: number,
): Promise<RecordPage> {
  // The predicate of the index stands alone, so that the planner recognises it.
  const { rows } = await queryPlain<RecordRow>(
    pool,
    `with open as (
       select *, ${STATE} as state from "${schema}".records where ${OPEN}
         and created_at >= coalesce($5::timestamptz, '-infinity')
         and ($5::timestamptz is null or
           (created_at, key, scope, target) > ($5::timestamptz, $6::text, $7::text, $8::text))
     )
     select ${COLUMNS} from open where ${FILTERS}
     order by created_at, key, scope, target limit $9::int`,
    [...filters, ...(cursor ?? [null, null, null, null]), limit],
  );
  const records = rows.map(toRecord);
  const last = records.at(-1);
  const isLast = last === undefined || records.length < limit;
  const next = last && [last.createdAt, last.key, last.scope, last.target];
  return { records, cursor: isLast ? undefined : writeCursor(next ?? []) };
}

interface Read {
  readonly readRows: number;
  readonly lastKey: string | null;
  readonly lastScope: string | null;
  readonly lastTarget: string | null;
}

/** All records in the order of the primary key, some hundred rows at a time, until the page is full. */
async function listAll(
  pool: Pool,
  schema: string,
  filters: readonly unknown[],
  cursor: readonly string[] | undefined,
  limit: number,
): Promise<RecordPage> {
  const records: TableRecord[] = [];
  let from = cursor;
  for (let read = 0; read < MAX_READ; read += READ_AT_ONCE) {
    const chunk = await readChunk(pool, schema, filters, from, limit - records.length);
    records.push(...chunk.records);
    from = chunk.next;
    if (from === undefined || records.length === limit) break;
  }
  return { records, cursor: from && writeCursor(from) };
}

interface Chunk {
  readonly records: TableRecord[];
  /** The key behind which the next chunk begins. */
  readonly next: string[] | undefined;
}

async function readChunk(
  pool: Pool,
  schema: string,
  filters: readonly unknown[],
  from: readonly string[] | undefined,
  limit: number,
): Promise<Chunk> {
  const records = `"${schema}".records`;
  const { rows } = await queryPlain<Read & Partial<RecordRow>>(
    pool,
    `with seen as materialized (
       select key, scope, target, created_at, ${STATE} as state from ${records}
       where $5::text is null or (key, scope, target) > ($5::text, $6::text, $7::text)
       order by key, scope, target limit $8::int
     ),
     wanted as (
       select key, scope, target from seen where ${FILTERS} order by key, scope, target limit $9::int
     ),
     page as (select ${COLUMNS} from ${records} join wanted using (key, scope, target)),
     last as (select key, scope, target from seen order by key desc, scope desc, target desc limit 1)
     select page.*, (select count(*) from seen)::float8 as "readRows", (select key from last) as "lastKey",
       (select scope from last) as "lastScope", (select target from last) as "lastTarget"
     from (values (1)) as always left join page on true
     order by page.key, page.scope, page.target`,
    [...filters, ...(from ?? [null, null, null]), READ_AT_ONCE, limit],
  );
  const found = rows.filter((row): row is Read & RecordRow => typeof row.key === "string");
  const page = found.map(({ readRows: _1, lastKey: _2, lastScope: _3, lastTarget: _4, ...row }) =>
    toRecord(row),
  );
  const last = page.at(-1);
  if (last !== undefined && page.length === limit)
    return { records: page, next: [last.key, last.scope, last.target] };
  const { readRows = 0, lastKey, lastScope, lastTarget } = rows[0] ?? {};
  const isEnd = readRows < READ_AT_ONCE;
  return {
    records: page,
    next: isEnd ? undefined : [lastKey ?? "", lastScope ?? "", lastTarget ?? ""],
  };
}

export function writeCursor(parts: readonly string[]): string {
  return Buffer.from(JSON.stringify(parts)).toString("base64url");
}

/** @throws RangeError for the cursor of another list. */
export function readCursor(cursor: string | undefined, parts: number): string[] | undefined {
  if (cursor === undefined) return undefined;
  try {
    const read: unknown = JSON.parse(Buffer.from(cursor, "base64url").toString());
    if (
      Array.isArray(read) &&
      read.length === parts &&
      read.every((one) => typeof one === "string")
    )
      return read;
  } catch {
    // The same as a cursor of something else.
  }
  throw new RangeError("cursor must be the cursor of the page before, of the same query");
}

/**
 * Effects of a request: changed rows and numbers of all tables of a database, and counters of the
 * test's own.
 */

/** A `pg.Pool`, or as much of one as is asked here. */
export interface QueryablePool {
  query(text: string): Promise<{ readonly rows: readonly unknown[] }>;
}

/**
 * One counter, or several by name. Each returns the total number of effects at the place that it
 * counts.
 */
export type EffectCounters =
  | (() => number | Promise<number>)
  | Readonly<Record<string, () => number | Promise<number>>>;

export interface EffectOptions {
  readonly pool?: QueryablePool | undefined;
  readonly countEffects?: EffectCounters | undefined;
  readonly ignore?: readonly string[] | undefined;
}

/** Numbers by name: rows of a table under `orders`, the sum of a column under `accounts.balance`, counters under their names. */
export type Snapshot = ReadonlyMap<string, number>;

/** Change of one number under one key, and its change in a run without a crash. */
export interface Effect {
  readonly name: string;
  readonly change: number;
  readonly expected: number;
}

/** Reads all numbers. */
export async function takeSnapshot({
  pool,
  countEffects = {},
  ignore = [],
}: EffectOptions): Promise<Snapshot> {
  const numbers = new Map<string, number>();
  const counters = typeof countEffects === "function" ? { effects: countEffects } : countEffects;
  for (const [name, count] of Object.entries(counters)) numbers.set(name, await count());
  if (pool === undefined) return numbers;
  for (const table of await readTables(pool)) {
    if (!ignore.includes(table.name)) await addTable(pool, table, ignore, numbers);
  }
  return numbers;
}

/**
 * Returns the change of each number by one run of the request. Sums that differ between runs, such
 * as those of ids, are left out.
 *
 * @throws Error if a count of rows or a counter differs between runs: then nothing can be compared.
 */
export function expectedChanges(one: Snapshot, other: Snapshot): Snapshot {
  const expected = new Map<string, number>();
  for (const name of new Set([...one.keys(), ...other.keys()])) {
    const [first = 0, second = 0] = [one.get(name), other.get(name)];
    if (isClose(first, second)) expected.set(name, second);
    else if (!isSum(name)) {
      throw new Error(
        `the request does not change '${name}' by the same number each time (${first}, then ${second}): make request a function that prepares a new one each time, or ignore it`,
      );
    }
  }
  return expected;
}

export function changesBetween(before: Snapshot, after: Snapshot): Snapshot {
  const names = new Set([...before.keys(), ...after.keys()]);
  return new Map(
    [...names].map((name) => [name, (after.get(name) ?? 0) - (before.get(name) ?? 0)]),
  );
}

/** Compares changes with the expected ones. Sums that no expectation names are left out; tables that none names are not. */
export function effectsOf(changes: Snapshot, expected: Snapshot): Effect[] {
  return [...changes]
    .filter(([name]) => expected.has(name) || !isSum(name))
    .map(([name, change]) => ({ name, change, expected: expected.get(name) ?? 0 }))
    .filter(({ change, expected: number }) => change !== 0 || number !== 0);
}

/** Whether two numbers are one but for what floating point makes of them. */
export function isClose(one: number, other: number): boolean {
  return Math.abs(one - other) <= 1e-9 * Math.max(1, Math.abs(one), Math.abs(other));
}

const SUM_OF = "sum of ";

function isSum(name: string): boolean {
  return name.startsWith(SUM_OF);
}

interface Table {
  readonly name: string;
  readonly identifier: string;
  readonly columns: readonly { readonly name: string; readonly identifier: string }[];
}

// All tables but Postgres's own and ours, which is known by its columns. A partition is counted with its table.
const TABLES = `
  select
    case when n.nspname = 'public' then '' else n.nspname || '.' end || c.relname as name,
    format('%I.%I', n.nspname, c.relname) as identifier,
    coalesce((
      select json_agg(json_build_object('name', a.attname, 'identifier', quote_ident(a.attname)) order by a.attnum)
      from pg_attribute a
      where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        and a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype, 'float4'::regtype, 'float8'::regtype, 'money'::regtype)
    ), '[]') as columns
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p') and not c.relispartition
    and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    and not exists (
      select from pg_class ours
      where ours.relnamespace = n.oid and ours.relname = 'records'
        and 4 = (
          select count(*) from pg_attribute
          where attrelid = ours.oid and attname in ('fingerprint', 'scope', 'target', 'lease_until')
        )
    )
  order by 1`;

async function readTables(pool: QueryablePool): Promise<readonly Table[]> {
  const { rows } = await pool.query(TABLES);
  return rows as readonly Table[];
}

async function addTable(
  pool: QueryablePool,
  { name: table, identifier, columns }: Table,
  ignore: readonly string[],
  numbers: Map<string, number>,
): Promise<void> {
  const summed = columns.filter(({ name }) => !ignore.includes(`${table}.${name}`));
  const sums = summed.map(
    ({ identifier: column }, index) => `coalesce(sum(${column}::numeric), 0)::text as s${index}`,
  );
  const { rows } = await pool.query(
    `select ${["count(*)::text as rows", ...sums].join(", ")} from ${identifier}`,
  );
  const row = (rows[0] ?? {}) as Readonly<Record<string, string>>;
  numbers.set(table, Number(row["rows"]));
  for (const [index, { name }] of summed.entries())
    numbers.set(`${SUM_OF}${table}.${name}`, Number(row[`s${index}`]));
}

/** What a soak looks at every few seconds. */
import type { Fleet } from "./rig/fleet.ts";

export interface Sample {
  readonly atMs: number;
  /** By server. */
  readonly residentBytes: Readonly<Record<string, number>>;
  readonly handles: Readonly<Record<string, number>>;
  readonly tableBytes: number;
  readonly expiredRows: number;
  readonly advisoryLocks: number;
}

/** One picture: its lines by name, each a value for each sample. */
export interface Quantity {
  readonly title: string;
  readonly file: string;
  readonly linesOf: (samples: readonly Sample[]) => Readonly<Record<string, readonly number[]>>;
}

const MIB = 1_048_576;

export const QUANTITIES: readonly Quantity[] = [
  {
    title: "Resident memory of the servers, MiB",
    file: "memory.svg",
    linesOf: (samples) => perServer(samples, ({ residentBytes }) => residentBytes, MIB),
  },
  {
    title: "Open handles of the servers",
    file: "handles.svg",
    linesOf: (samples) => perServer(samples, ({ handles }) => handles, 1),
  },
  {
    title: "Size of the table with its index, MiB",
    file: "table.svg",
    linesOf: (samples) => ({ records: samples.map(({ tableBytes }) => tableBytes / MIB) }),
  },
  {
    title: "Expired rows that are not swept yet, and advisory locks held",
    file: "rows-and-locks.svg",
    linesOf: (samples) => ({
      "expired rows": samples.map(({ expiredRows }) => expiredRows),
      "advisory locks": samples.map(({ advisoryLocks }) => advisoryLocks),
    }),
  },
];

function perServer(
  samples: readonly Sample[],
  of: (sample: Sample) => Readonly<Record<string, number>>,
  unit: number,
): Record<string, number[]> {
  const names = Object.keys(samples[0] === undefined ? {} : of(samples[0]));
  return Object.fromEntries(
    names.map((name) => [name, samples.map((sample) => (of(sample)[name] ?? 0) / unit)]),
  );
}

/** One row for each line of the picture: its name, and its medians in the first and in the last quarter of the time. */
export function compareQuarters(
  { title, linesOf }: Quantity,
  samples: readonly Sample[],
): readonly string[][] {
  const quarter = Math.ceil(samples.length / 4);
  return Object.entries(linesOf(samples)).map(([name, values]) => [
    `${title}: ${name}`,
    medianOf(values.slice(0, quarter)),
    medianOf(values.slice(-quarter)),
  ]);
}

function medianOf(values: readonly number[]): string {
  const middle = values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
  return middle === undefined ? "–" : middle.toFixed(1);
}

const LOOK = `
select pg_total_relation_size('oncekey.records')::float8 as "tableBytes",
  (select count(*)::int from oncekey.records where expires_at <= statement_timestamp()) as "expiredRows",
  (select count(*)::int from pg_locks where locktype = 'advisory') as "advisoryLocks"`;

export async function takeSample({ servers, pool }: Fleet, atMs: number): Promise<Sample> {
  const [{ rows }, ...inspections] = await Promise.all([
    pool.query<Pick<Sample, "tableBytes" | "expiredRows" | "advisoryLocks">>(LOOK),
    ...servers.map(async (server) => ({ name: server.name, ...(await server.inspect()) })),
  ]);
  const [row] = rows;
  if (row === undefined) throw new Error("the database said nothing");
  return {
    atMs,
    residentBytes: Object.fromEntries(inspections.map((one) => [one.name, one.residentBytes])),
    handles: Object.fromEntries(inspections.map((one) => [one.name, one.handles])),
    ...row,
  };
}

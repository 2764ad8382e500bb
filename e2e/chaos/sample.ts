/** Quantities that a soak samples every few seconds. */
import type { Fleet } from "./fleet/fleet.ts";
import type { Inspection } from "./protocol/messages.ts";
import type { ServerProcess } from "./fleet/server-process.ts";

export interface Sample {
  readonly atMs: number;
  /** By server. */
  readonly residentBytes: Readonly<Record<string, number>>;
  readonly handles: Readonly<Record<string, number>>;
  readonly tableBytes: number;
  readonly expiredRows: number;
  readonly advisoryLocks: number;
}

export interface Line {
  readonly name: string;
  /** One for each sample. */
  readonly values: readonly number[];
  /** Noise: a smaller difference between end and beginning is no rise. */
  readonly slack: number;
}

/** One picture. */
export interface Quantity {
  readonly title: string;
  readonly file: string;
  readonly linesOf: (samples: readonly Sample[]) => readonly Line[];
}

const MIB = 1_048_576;
const MEMORY_SLACK = 32;
const HANDLES_SLACK = 32;
const TABLE_SLACK = 4;
const ROWS_SLACK = 200;
// A lock is held for a moment, by each of a few requests at once: one that stays behind for every few minutes has to show.
const LOCKS_SLACK = 16;

export const QUANTITIES: readonly Quantity[] = [
  {
    title: "Resident memory of the servers, MiB",
    file: "memory.svg",
    linesOf: (samples) =>
      perServer(samples, ({ residentBytes }) => residentBytes, MIB, MEMORY_SLACK),
  },
  {
    title: "Open handles of the servers",
    file: "handles.svg",
    linesOf: (samples) => perServer(samples, ({ handles }) => handles, 1, HANDLES_SLACK),
  },
  {
    title: "Size of the table with its index, MiB",
    file: "table.svg",
    linesOf: (samples) => [
      {
        name: "records",
        values: samples.map(({ tableBytes }) => tableBytes / MIB),
        slack: TABLE_SLACK,
      },
    ],
  },
  {
    title: "Expired rows that are not swept yet, and advisory locks held",
    file: "rows-and-locks.svg",
    linesOf: (samples) => [
      {
        name: "expired rows",
        values: samples.map(({ expiredRows }) => expiredRows),
        slack: ROWS_SLACK,
      },
      {
        name: "advisory locks",
        values: samples.map(({ advisoryLocks }) => advisoryLocks),
        slack: LOCKS_SLACK,
      },
    ],
  },
];

function perServer(
  samples: readonly Sample[],
  of: (sample: Sample) => Readonly<Record<string, number>>,
  unit: number,
  slack: number,
): Line[] {
  const names = Object.keys(samples[0] === undefined ? {} : of(samples[0]));
  return names.map((name) => ({
    name,
    values: samples.map((sample) => (of(sample)[name] ?? 0) / unit),
    slack,
  }));
}

/** One line of a picture: its medians in the first and in the last quarter of the time, and what became of it between them. */
export interface Trend {
  readonly name: string;
  readonly first: number;
  readonly last: number;
  /** The last median that would still be no rise. */
  readonly most: number;
  /** `unknown`: there are too few samples. */
  readonly course: "rises" | "flat" | "unknown";
}

// Node's heap breathes by some per cent from one quarter to another.
const FLAT = 1.25;
/** With fewer a quarter is a sample or two, and its median is chance. */
export const FEWEST_SAMPLES = 12;

export function trendsOf(
  { title, linesOf }: Quantity,
  samples: readonly Sample[],
): readonly Trend[] {
  const quarter = Math.ceil(samples.length / 4);
  return linesOf(samples).map(({ name, values, slack }) => {
    const first = medianOf(values.slice(0, quarter));
    const last = medianOf(values.slice(-quarter));
    const most = Math.max(first * FLAT, first + slack);
    const isKnown = samples.length >= FEWEST_SAMPLES;
    const course = !isKnown ? "unknown" : last > most ? "rises" : "flat";
    return { name: `${title}: ${name}`, first, last, most, course };
  });
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

const LOOK = `
select pg_total_relation_size('oncekey.records')::float8 as "tableBytes",
  (select count(*)::int from oncekey.records where expires_at <= statement_timestamp()) as "expiredRows",
  (select count(*)::int from pg_locks where locktype = 'advisory') as "advisoryLocks"`;

export async function takeSample({ servers, pool }: Fleet, atMs: number): Promise<Sample> {
  const [{ rows }, ...inspections] = await Promise.all([
    pool.query<Pick<Sample, "tableBytes" | "expiredRows" | "advisoryLocks">>(LOOK),
    ...servers.map((server) => inspect(server)),
  ]);
  const [row] = rows;
  if (row === undefined) throw new Error("the database did not answer");
  return {
    atMs,
    residentBytes: Object.fromEntries(inspections.map((one) => [one.name, one.residentBytes])),
    handles: Object.fromEntries(inspections.map((one) => [one.name, one.handles])),
    ...row,
  };
}

async function inspect(server: ServerProcess): Promise<Inspection & { readonly name: string }> {
  const inspection = await server.inspect();
  if (inspection === undefined) throw new Error(`server ${server.name} did not answer`);
  return { name: server.name, ...inspection };
}

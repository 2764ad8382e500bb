/** What a soak looks at every few seconds. */
import type { Fleet } from "./rig/fleet.ts";
import type { Inspection } from "./rig/messages.ts";
import type { ServerProcess } from "./rig/server-process.ts";

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
  /** What a line may be higher in the end than in the beginning without rising: less than that is noise. */
  readonly slack: number;
  readonly linesOf: (samples: readonly Sample[]) => Readonly<Record<string, readonly number[]>>;
}

const MIB = 1_048_576;

export const QUANTITIES: readonly Quantity[] = [
  {
    title: "Resident memory of the servers, MiB",
    file: "memory.svg",
    slack: 32,
    linesOf: (samples) => perServer(samples, ({ residentBytes }) => residentBytes, MIB),
  },
  {
    title: "Open handles of the servers",
    file: "handles.svg",
    slack: 32,
    linesOf: (samples) => perServer(samples, ({ handles }) => handles, 1),
  },
  {
    title: "Size of the table with its index, MiB",
    file: "table.svg",
    slack: 4,
    linesOf: (samples) => ({ records: samples.map(({ tableBytes }) => tableBytes / MIB) }),
  },
  {
    title: "Expired rows that are not swept yet, and advisory locks held",
    file: "rows-and-locks.svg",
    slack: 200,
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

/** One line of a picture: its medians in the first and in the last quarter of the time, and whether it rises between them. */
export interface Trend {
  readonly name: string;
  readonly first: number;
  readonly last: number;
  readonly isRising: boolean;
}

// Node's heap breathes by some per cent from one quarter to another.
const FLAT = 1.25;

export function trendsOf(
  { title, slack, linesOf }: Quantity,
  samples: readonly Sample[],
): readonly Trend[] {
  if (samples.length === 0) return [];
  const quarter = Math.ceil(samples.length / 4);
  return Object.entries(linesOf(samples)).map(([name, values]) => {
    const first = medianOf(values.slice(0, quarter));
    const last = medianOf(values.slice(-quarter));
    const isRising = last > first * FLAT && last > first + slack;
    return { name: `${title}: ${name}`, first, last, isRising };
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
  if (row === undefined) throw new Error("the database said nothing");
  return {
    atMs,
    residentBytes: Object.fromEntries(inspections.map((one) => [one.name, one.residentBytes])),
    handles: Object.fromEntries(inspections.map((one) => [one.name, one.handles])),
    ...row,
  };
}

async function inspect(server: ServerProcess): Promise<Inspection & { readonly name: string }> {
  const inspection = await server.inspect();
  if (inspection === undefined) throw new Error(`server ${server.name} said nothing`);
  return { name: server.name, ...inspection };
}

/** The generated page of the floor: targets beside the limits that Postgres and a bare handler set. */
import { loadavg } from "node:os";
import { PAGES, provenance, table, writePage } from "@oncekey/test-support/reporting/page";
import type { Origin } from "../page.ts";
import { spreadOf } from "../statistics.ts";
import type { Spread } from "../statistics.ts";
import { SUBJECTS } from "../subjects/subjects.ts";
import type { SubjectName } from "../subjects/subjects.ts";
import { noiseOf, summarise } from "../summary.ts";
import { kindTables, spreadText } from "../table.ts";
import { RATIO_TARGETS, ratioName } from "../targets.ts";
import { NOISY } from "../slice.ts";
import { POOL_CONNECTIONS } from "./floor.ts";
import type { Floor, PlayedSlice } from "./floor.ts";

/** A target of throughput, what was measured, and the limits beside it. */
export interface Limit {
  readonly what: string;
  readonly value: number;
  readonly measured: Spread;
  /** The same statements, played by bare sockets. `undefined`: the row has none, or needs no database. */
  readonly postgres: Spread | undefined;
  /** The same figure of the bare prototype. */
  readonly prototype: Spread | undefined;
}

export function limitsOf({ played, slices }: Floor): Limit[] {
  const summaries = summarise(slices);
  return RATIO_TARGETS.flatMap((target) => {
    const { subject, kind, connections, value } = target;
    const of = (name: SubjectName): Spread | undefined =>
      summaries.find(
        (one) => one.subject === name && one.kind === kind && one.connections === connections,
      )?.ratio;
    const measured = of(subject);
    if (measured === undefined) return [];
    const alone = played.filter(
      (one) => one.subject === subject && one.sessions === Math.min(connections, POOL_CONNECTIONS),
    );
    return [
      {
        what: ratioName(target),
        value,
        measured,
        postgres: kind === "first" ? spreadOf(alone.map(({ ratio }) => ratio)) : undefined,
        prototype: subject === "advisory" ? of("bare") : undefined,
      },
    ];
  });
}

/** Whether a limit forbids the target, whatever the plugin does. */
function verdict({ value, measured, postgres, prototype }: Limit): string {
  if (round(measured) >= value) return "met";
  if (postgres !== undefined && round(postgres) < value) return "Postgres alone is below it";
  if (prototype !== undefined && round(prototype) < value) return "the bare handler is below it";
  return "no";
}

function round({ median }: Spread): number {
  return Number(median.toFixed(2));
}

function limitTable(floor: Floor): string {
  const isLoaded = wasLoaded(floor);
  const heads = ["", "target", "measured", "Postgres alone", "bare handler", "result"];
  const rows = limitsOf(floor).map((limit) => [
    limit.what,
    `≥ ${limit.value}`,
    spreadText(limit.measured),
    limit.postgres === undefined ? "–" : spreadText(limit.postgres),
    limit.prototype === undefined ? "–" : spreadText(limit.prototype),
    isLoaded ? "not judged" : verdict(limit),
  ]);
  return table([heads, heads.map(() => "-"), ...rows]);
}

function playedTable({ played }: Floor): string {
  const heads = [
    "statements of",
    "sessions",
    "× F2",
    "by CPU of Postgres",
    "requests/s",
    "p50 ms",
    "Postgres µs",
    "player µs",
    "WAL bytes",
  ];
  const groups = Map.groupBy(played, ({ subject, sessions }) => `${subject} ${sessions}`);
  const order = SUBJECTS.map(({ name }) => name);
  const rows = [...groups.values()]
    .toSorted(
      ([one], [two]) => order.indexOf(one?.subject ?? "F0") - order.indexOf(two?.subject ?? "F0"),
    )
    .flatMap((group) => {
      const [first] = group;
      if (first === undefined) return [];
      const spread = (of: (slice: PlayedSlice) => number | undefined): Spread =>
        spreadOf(group.map((slice) => of(slice) ?? Number.NaN));
      const whole = (of: (slice: PlayedSlice) => number | undefined): string =>
        Math.round(spread(of).median).toLocaleString("en");
      return [
        [
          first.subject,
          String(first.sessions),
          spreadText(spread(({ ratio }) => ratio)),
          spreadText(spread(({ cpuRatio }) => cpuRatio)),
          whole(({ rate }) => rate),
          spread(({ p50Ms }) => p50Ms).median.toFixed(2),
          whole(({ databaseUs }) => databaseUs),
          whole(({ serverUs }) => serverUs),
          whole(({ walBytes }) => walBytes),
        ],
      ];
    });
  return table([heads, heads.map(() => "-"), ...rows]);
}

function scriptTable({ scripts }: Floor): string {
  const heads = ["statements of", "flights", "statements"];
  const rows = scripts.map((one) => [one.subject, String(one.flights), String(one.statements)]);
  return table([heads, heads.map(() => "-"), ...rows]);
}

const MOST_NOISY = 0.2;

function noiseIn(floor: Floor): { readonly median: number; readonly noisySlices: number } {
  return noiseOf([...floor.played, ...floor.slices]);
}

function wasLoaded(floor: Floor): boolean {
  return noiseIn(floor).noisySlices > MOST_NOISY;
}

function noiseNote(floor: Floor): string {
  const { median, noisySlices } = noiseIn(floor);
  const percent = (part: number): string => `${Math.round(100 * part)} %`;
  const said = `In the median slice other processes used ${percent(median)} of the CPU; ${percent(noisySlices)} of the slices stayed above ${percent(NOISY)} after all repeats.`;
  return wasLoaded(floor)
    ? `> **Measured on a loaded machine.** ${said} No row is judged; run the command again on a quiet machine.`
    : said;
}

export function floorPage(floor: Floor, { command, commit }: Origin): string {
  const { machine, slices } = floor;
  return `# Floor

${provenance(command, commit)} ${machine.cpu}, ${machine.memoryGiB} GiB, PostgreSQL ${machine.postgres}; servers, databases and load generator share the cores.

${noiseNote(floor)}

How close the throughput of a protected request can come to that of the same handler without Oncekey, in one interleaved run. In parentheses: the lower and the upper quartile.

- **Postgres alone**: the bytes that the server sends for one first request are recorded, with its batches, named statements and one Sync for each batch. Bare sockets play them with new keys, owners and locks, beside those of F2 (\`BEGIN; INSERT; COMMIT\`). The player reads no result and has no HTTP, so its ratio is an upper bound that no plugin can pass with these statements. A server's pool has ${POOL_CONNECTIONS} connections: 64 callers are bound by the row of ${POOL_CONNECTIONS} sessions.
- **Bare handler**: a lock, a look-up and a store in a single Fastify handler, without plugin, hooks, header rules, deadlines or error handling. Its statements are leaner than ours: no conflict clause, no tombstones and no time limits; and its client is smaller than that of \`pg\`. If it reaches a target that Postgres alone does not reach with our statements, the difference is the price of what they promise. Its replay from Postgres is one named statement by \`pool.query\`; its replay from the process is one SHA-256 of the body and one look-up in a \`Map\`.

## Targets and limits

${limitTable(floor)}

## Postgres alone

${playedTable(floor)}

${scriptTable(floor)}

## Servers

${kindTables(summarise(slices))
  .map((text) => `### ${text}`)
  .join("\n\n")}
`;
}

export function printFloor(floor: Floor): void {
  console.log(`\n${limitTable(floor)}\n\n${playedTable(floor)}\n\n${scriptTable(floor)}`);
  for (const text of kindTables(summarise(floor.slices))) console.log(`\n${text}`);
  console.log(`\n${noiseNote(floor)} Load ${loadavg()[0]?.toFixed(1)}.`);
}

/** @param folder ends with a slash. */
export async function writeFloor(
  floor: Floor,
  origin: Origin,
  folder: string = PAGES,
): Promise<void> {
  const json = { madeAt: new Date().toISOString(), ...origin, ...floor };
  await writePage(`${folder}benchmark/floor.json`, `${JSON.stringify(json)}\n`);
  await writePage(`${folder}floor.md`, floorPage(floor, origin));
}

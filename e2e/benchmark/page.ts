/** The generated page of a measurement, its JSON and its pictures. */
import { PAGES, provenance, table, writePage } from "@oncekey/test-support/reporting/page";
import { drawBars } from "./chart.ts";
import type { BarGroup } from "./chart.ts";
import type { Measurement } from "./measurement.ts";
import { spreadOf } from "./statistics.ts";
import { KINDS, REFERENCE, SUBJECTS } from "./subjects/subjects.ts";
import type { Kind } from "./subjects/subjects.ts";
import { noiseOf, summarise } from "./summary.ts";
import type { Summary } from "./summary.ts";
import {
  countTable,
  KIND_TITLE,
  kindTables,
  spreadText,
  stormRatios,
  stormTable,
} from "./table.ts";
import { DUPLICATES, HANDLER_MS } from "./storm.ts";
import { isMet, targetsOf } from "./targets.ts";
import { NOISY } from "./slice.ts";

export interface Origin {
  readonly command: string;
  readonly commit: string;
}

/** The folder of the pictures and the JSON, beside the page. */
const FOLDER = "benchmark";
const PICTURES: Readonly<Record<Kind, string>> = {
  first: "first-requests",
  replay: "replays-from-the-store",
  cached: "replays-from-the-process",
};
const MOST_NOISY = 0.2;

/** Writes the page, its pictures and the JSON. @param folder ends with a slash. */
export async function writeReport(
  measurement: Measurement,
  origin: Origin,
  folder: string = PAGES,
): Promise<void> {
  const pictures = wasLoaded(measurement) ? {} : drawPictures(measurement);
  for (const [name, svg] of Object.entries(pictures)) {
    await writePage(`${folder}${FOLDER}/${name}`, svg);
  }
  const json = { madeAt: new Date().toISOString(), ...origin, ...measurement };
  await writePage(`${folder}${FOLDER}/benchmark.json`, `${JSON.stringify(json)}\n`);
  await writePage(`${folder}benchmark.md`, pageOf(measurement, origin));
}

/** Returns the SVG pictures by their file names. */
export function drawPictures({ slices }: Measurement): Readonly<Record<string, string>> {
  const summaries = summarise(slices);
  const drawn = KINDS.flatMap((kind) => {
    const groups = groupsOf(summaries, kind);
    if (groups.length === 0) return [];
    const title = `${KIND_TITLE[kind]}: throughput × ${REFERENCE[kind]}`;
    return [[`${PICTURES[kind]}.svg`, drawBars(title, groups, 1)] as const];
  });
  return Object.fromEntries(drawn);
}

function groupsOf(summaries: readonly Summary[], kind: Kind): BarGroup[] {
  const own = summaries.filter((one) => one.kind === kind && one.subject !== REFERENCE[kind]);
  const groups = Map.groupBy(own, ({ connections }) => connections);
  return [...groups]
    .toSorted(([one], [other]) => one - other)
    .map(([connections, members]) => ({
      label: connections === 1 ? "1 connection" : `${connections} connections`,
      bars: members.map(({ subject, ratio }) => ({ name: subject, value: ratio })),
    }));
}

export function pageOf(measurement: Measurement, { command, commit }: Origin): string {
  const { machine, slices, storms, counts, skipped } = measurement;
  const summaries = summarise(slices);
  const pictures = Object.keys(drawPictures(measurement)).map(
    (name) => `![${name.replace(".svg", "").replaceAll("-", " ")}](${FOLDER}/${name})`,
  );
  return `# Benchmark

${provenance(command, commit)} ${machine.cpu}, ${machine.memoryGiB} GiB, PostgreSQL ${machine.postgres}; servers, databases and load generator share the cores.

${noiseNote(measurement)}

A ratio compares a server with its reference of the same round, so it is a median of pairs and no quotient of the tables' medians. In parentheses: the lower and the upper quartile.
\`by CPU\` compares the CPU of Node and the databases: if the cores are busy, the throughput tends to it.

## Targets

${targetTable(measurement)}

\`bench --floor\` shows what Postgres alone and a bare handler allow for each ratio: \`floor.md\` beside this page.

${wasLoaded(measurement) ? "" : pictures.join("\n\n")}

## Who is compared

${table([["subject", "what it is"], ["-", "-"], ...measuredSubjects(measurement)])}

The handler of all inserts one row by a named statement and replies with 535 bytes of JSON. A peer's INSERT commits by itself, before the peer stores the response. The CPU of a database is that of Postgres with all its backends and, for the peers with Redis, that of Redis.

${skipped.length === 0 ? "" : `Not measured:\n\n${skipped.map(({ name, reason }) => `- ${name}: ${reason}.`).join("\n")}`}

## Figures

${kindTables(summaries)
  .map((text) => `### ${text}`)
  .join("\n\n")}

### Round trips to Postgres

What follows the reply is counted, too: the end of a replay's transaction.

${countTable(counts)}

### A storm of duplicates

${storms.length === 0 ? "Not measured." : stormSection(measurement)}
`;
}

function measuredSubjects({ slices }: Measurement): string[][] {
  const measured = new Set(slices.map(({ subject }) => subject));
  return SUBJECTS.filter(({ name }) => measured.has(name)).map(({ name, description }) => [
    name,
    description,
  ]);
}

function wasLoaded({ slices }: Measurement): boolean {
  return noiseOf(slices).noisySlices > MOST_NOISY;
}

function noiseNote(measurement: Measurement): string {
  const { median, noisySlices } = noiseOf(measurement.slices);
  const percent = (part: number): string => `${Math.round(100 * part)} %`;
  const said = `In the median slice other processes used ${percent(median)} of the CPU; ${percent(noisySlices)} of the slices stayed above ${percent(NOISY)} after all repeats.`;
  return wasLoaded(measurement)
    ? `> **Measured on a loaded machine.** ${said} Only what is counted can be read: round trips, statements and WAL. Neither targets of time are judged nor pictures shown; run the command again on a quiet machine.`
    : said;
}

function targetTable(measurement: Measurement): string {
  const isLoaded = wasLoaded(measurement);
  const rows = targetsOf(measurement).map((target) => [
    target.what,
    `${target.bound === "at least" ? "≥" : "≤"} ${target.value}`,
    spreadText(target.measured, target.digits),
    isLoaded && target.isCounter !== true ? "not judged" : isMet(target) ? "yes" : "no",
  ]);
  const heads = ["", "target", "measured", "met"];
  return table([heads, heads.map(() => "-"), ...rows]);
}

function stormSection({ storms }: Measurement): string {
  const { toBareStorm, toBareRequest, bareToBareRequest, beside, sharedBeside, unlimitedBeside } =
    stormRatios(storms);
  const held = spreadOf(storms.map(({ connections }) => connections));
  return `${stormTable(storms)}

The duplicates take ${spreadText(toBareStorm)} times as long as the same 64 to the bare route. By one request to the bare route they take ${spreadText(toBareRequest)}, and the bare 64 themselves ${spreadText(bareToBareRequest)}.
Bystanders take ${spreadText(beside)} times as long as beside the bare route. Duplicates and bystanders held ${held.median} of 16 connections at the most, in the median round.
While one scope sends ${DUPLICATES} new keys to a handler of ${HANDLER_MS} ms, a bystander of another scope takes ${spreadText(sharedBeside)} times as long as without a storm. Without \`maxInFlightPerScope\` it would take ${spreadText(unlimitedBeside)}.`;
}

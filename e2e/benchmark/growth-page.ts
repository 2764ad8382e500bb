/** The generated page of the growth of a table. */
import { PAGES, provenance, table, writePage } from "@oncekey/test-support/reporting/page";
import { drawBars } from "./chart.ts";
import type { Growth, GrowthSlice, GrowthState, Phase } from "./growth.ts";
import type { KeyVersion } from "./growth-table.ts";
import type { Origin } from "./page.ts";
import { NOISY } from "./slice.ts";
import { medianOf, spreadOf } from "./statistics.ts";
import type { Spread } from "./statistics.ts";
import { spreadText } from "./table.ts";

/** The figures of one table, by the empty table of the same round. */
export interface GrowthRow {
  readonly version: KeyVersion;
  readonly rows: number;
  readonly phase: Phase;
  readonly first: readonly Spread[];
  readonly replay: readonly Spread[];
  /** WAL of a first request right behind a checkpoint, in bytes and by the empty table. */
  readonly walBytes: Spread;
  readonly walRatio: Spread;
  readonly state: GrowthState;
}

const FOLDER = "growth";
const MOST_BATCH_MS = 60;
const PHASES: Readonly<Record<Phase, string>> = {
  filled: "before",
  turned: "after one retention",
};

export function growthRows({ slices, states }: Growth): GrowthRow[] {
  return states.map((state) => {
    const { version, rows, phase } = state;
    const own = slices.filter(
      (one) => one.version === version && one.rows === rows && one.phase === phase,
    );
    const connections = [...new Set(own.map((one) => one.connections))];
    const ratios = (
      kind: GrowthSlice["kind"],
      many: number,
      of: (slice: GrowthSlice) => number,
    ): Spread =>
      spreadOf(
        own
          .filter((one) => one.kind === kind && one.connections === many)
          .map((one) => of(one) / of(emptyBeside(slices, one) ?? one)),
      );
    const most = Math.max(...connections);
    const busiest = own.filter((one) => one.kind === "first" && one.connections === most);
    return {
      version,
      rows,
      phase,
      first: connections.map((many) => ratios("first", many, ({ rate }) => rate)),
      replay: connections.map((many) => ratios("replay", many, ({ rate }) => rate)),
      walBytes: spreadOf(busiest.map((one) => one.walBytes)),
      walRatio: ratios("first", most, (one) => one.walBytes),
      state,
    };
  });
}

/** The slice of the smallest table in the same round. */
function emptyBeside(slices: readonly GrowthSlice[], to: GrowthSlice): GrowthSlice | undefined {
  return slices
    .filter(
      (one) =>
        one.version === to.version &&
        one.kind === to.kind &&
        one.connections === to.connections &&
        one.round === to.round,
    )
    .toSorted((one, other) => one.rows - other.rows)[0];
}

export function growthTable(growth: Growth): string {
  const heads = [
    "keys",
    "records",
    "",
    "first × empty, 1 / 16",
    "replay × empty, 1 / 16",
    "WAL bytes",
    "WAL × empty",
    "table bytes a response",
    "index bytes a response",
    "sweep batch ms",
    "longest",
    `above ${MOST_BATCH_MS} ms`,
  ];
  const rows = growthRows(growth).map((row) => [
    row.version,
    row.rows.toLocaleString("en"),
    PHASES[row.phase],
    row.first.map((spread) => spreadText(spread)).join(" / "),
    row.replay.map((spread) => spreadText(spread)).join(" / "),
    spreadText(row.walBytes, 0),
    spreadText(row.walRatio),
    row.state.size?.heapBytes.toFixed(0) ?? "–",
    row.state.size?.indexBytes.toFixed(0) ?? "–",
    spreadText(spreadOf(row.state.sweepMs), 1),
    row.state.sweepMs.length === 0 ? "–" : Math.max(...row.state.sweepMs).toFixed(1),
    aboveOf(row.state.sweepMs),
  ]);
  return table([heads, heads.map(() => "-"), ...rows]);
}

function aboveOf(sweepMs: readonly number[]): string {
  const above = sweepMs.filter((ms) => ms > MOST_BATCH_MS).length;
  return `${above} of ${sweepMs.length.toLocaleString("en")}`;
}

/** Writes the page, its picture and the JSON. @param folder ends with a slash. */
export async function writeGrowth(
  growth: Growth,
  origin: Origin,
  folder: string = PAGES,
): Promise<void> {
  const json = { madeAt: new Date().toISOString(), ...origin, ...growth };
  await writePage(`${folder}${FOLDER}/growth.json`, `${JSON.stringify(json)}\n`);
  await writePage(`${folder}${FOLDER}/wal.svg`, drawWal(growth));
  await writePage(`${folder}growth.md`, growthPage(growth, origin));
}

export function drawWal(growth: Growth): string {
  const groups = Map.groupBy(growthRows(growth), ({ rows }) => rows);
  return drawBars(
    "WAL bytes of a first request, behind a checkpoint",
    [...groups].map(([rows, members]) => ({
      label: `${rows.toLocaleString("en")} records`,
      bars: members.map(({ version, phase, walBytes }) => ({
        name: `${version}, ${PHASES[phase]}`,
        value: walBytes,
      })),
    })),
  );
}

export function growthPage(growth: Growth, { command, commit }: Origin): string {
  const { machine, slices, states } = growth;
  const noise = medianOf(slices.map((one) => one.noise ?? Number.NaN));
  const percent = `${Math.round(100 * noise)} %`;
  const longest = Math.max(0, ...states.flatMap(({ sweepMs }) => sweepMs));
  return `# Growth

${provenance(command, commit)} ${machine.cpu}, ${machine.memoryGiB} GiB, PostgreSQL ${machine.postgres}.

${noise > NOISY ? `> **Measured on a loaded machine.** Other processes used ${percent} of the CPU in the median slice.` : `Other processes used ${percent} of the CPU in the median slice.`}

Responses have a body of 535 bytes and lie in the order of a day of requests. *After one retention*: before these, as many responses had come and expired. The table still has their keys. Requests are those of strategy
\`advisory\`; replays ask for keys from all over the table. A checkpoint goes before each round, so WAL has the pages that are logged whole. Targets: first ≥ 0.9 × empty, WAL ≤ 1.3 × empty, no batch of
the sweep above ${MOST_BATCH_MS} ms (the longest here: ${longest.toFixed(1)} ms). A v7 key goes to the last page of the primary key. A v4 key goes to a page of its own, which Postgres logs whole at
its first change after a checkpoint: of a large table that is most of the WAL, and the less of it, the more requests there are between two checkpoints.

${growthTable(growth)}

![WAL of a first request](${FOLDER}/wal.svg)
`;
}

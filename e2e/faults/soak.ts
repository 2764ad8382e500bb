/** `test:soak --minutes N [--pages FOLDER]`: the rig without a stop, and whether memory, table, handles and locks stay as they are. */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { formatVerdict } from "./checker/verdict.ts";
import { drawChart } from "./chart.ts";
import { keepHistory } from "./history/keep.ts";
import { INCOMPLETE, listenForEnd } from "./interruption.ts";
import { describeCommit, PAGES, provenance, table, writePage } from "./page.ts";
import { startFleet } from "./rig/fleet.ts";
import type { Fleet } from "./rig/fleet.ts";
import { runOn } from "./rig/run.ts";
import type { RunReport } from "./rig/run.ts";
import { endRetention } from "./rig/tables.ts";
import { MINUTE_MS, MIX } from "./settings.ts";
import type { Plan } from "./settings.ts";
import { QUANTITIES, takeSample, trendsOf } from "./sample.ts";
import type { Sample, Trend } from "./sample.ts";

/** What one round keeps in memory until it is judged. */
const ROUND_MS = 2 * MINUTE_MS;
const SAMPLE_MS = 5_000;
// A process needs some minutes to reach its size: what rises before is no leak.
const JUDGED_MS = 20 * MINUTE_MS;

const SOAK: Omit<Plan, "limitMs" | "seed"> = {
  operations: Infinity,
  clients: 128,
  mix: { ...MIX, others: 0.8, aroundExpiry: 0.02 },
  strikes: { kill: 0, pause: 0, terminate: 0, crash: 0 },
  disturbances: { commitFaults: 0, poolerRestarts: 0, poolsTaken: 0, databasesFilled: 0 },
  wireFaults: 0.01,
};

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "60" },
    pages: { type: "string", default: PAGES },
  },
});
const minutes = Number(values.minutes);
if (!(minutes > 0)) throw new RangeError(`--minutes must be above 0, got ${values.minutes}`);

const interrupted = listenForEnd();
const commit = describeCommit();

const fleet = await startFleet();
try {
  process.exitCode = await soak(fleet);
} finally {
  await fleet.stop();
}

async function soak(on: Fleet): Promise<number> {
  const startedAt = performance.now();
  const samples: Sample[] = [];
  const sampling = setInterval(() => {
    takeSample(on, performance.now() - startedAt).then(
      (sample) => samples.push(sample),
      () => undefined,
    );
  }, SAMPLE_MS);
  const rounds: RunReport[] = [];
  try {
    for (;;) {
      const leftMs = minutes * MINUTE_MS - (performance.now() - startedAt);
      if (leftMs <= 0 || interrupted.aborted) break;
      const round = await runRound(on, rounds.length, Math.min(ROUND_MS, leftMs));
      rounds.push(round);
      console.log(formatVerdict(round.verdict));
      if (round.verdict.violations.length > 0) {
        await keepHistory(round);
        break;
      }
      await endRetention(on.pool, scopesOf(round.seed));
    }
  } finally {
    clearInterval(sampling);
  }
  const tookMs = performance.now() - startedAt;
  const trends = QUANTITIES.flatMap((quantity) => trendsOf(quantity, samples));
  await writePages(rounds, samples, trends, tookMs);
  const rising = tookMs < JUDGED_MS ? [] : trends.filter(({ isRising }) => isRising);
  for (const { name, first, last } of rising) console.log(`RISES: ${name}, ${first} to ${last}`);
  if (rising.length > 0) return 1;
  if (rounds.some(({ verdict }) => verdict.violations.length > 0)) return 1;
  return interrupted.aborted ? INCOMPLETE : 0;
}

function runRound(on: Fleet, number: number, limitMs: number): Promise<RunReport> {
  return runOn(on, {
    ...SOAK,
    seed: number,
    mix: { ...SOAK.mix, scopes: scopesOf(number) },
    limitMs,
    signal: interrupted,
    onProgress: console.log,
  });
}

function scopesOf(round: number): string {
  return `round-${round}`;
}

async function writePages(
  rounds: readonly RunReport[],
  samples: readonly Sample[],
  trends: readonly Trend[],
  tookMs: number,
): Promise<void> {
  for (const quantity of QUANTITIES) {
    const lines = quantity.linesOf(samples);
    await writePage(
      join(values.pages, "soak", quantity.file),
      drawChart(quantity.title, samples, lines),
    );
  }
  const sum = (of: (round: RunReport) => number): number =>
    rounds.reduce((total, round) => total + of(round), 0);
  const operations = sum((round) => round.operations);
  const page = `# Whether it stays as it is

${provenance(`test:soak --minutes ${minutes}`, commit)} ${interrupted.aborted ? "It was interrupted." : ""}

| | |
| --- | --- |
${table([
  ["time", `${Math.round(tookMs / 1_000)} s`],
  ["operations", String(operations)],
  ["operations a second", String(Math.round(operations / (tookMs / 1_000)))],
  ["attempts", String(sum(({ verdict }) => verdict.attempts))],
  ["effects", String(sum(({ verdict }) => verdict.effects))],
  ["violations", String(sum(({ verdict }) => verdict.violations.length))],
])}

Four of five operations go to routes whose records expire after two seconds, or that take no key. Records of the others are kept for a day, which
is over when a round of ${ROUND_MS / MINUTE_MS} minutes has been judged: until the servers have swept them they are the peaks of the last picture.

Each was looked at every ${SAMPLE_MS / 1_000} seconds. Medians of ${samples.length} samples, of the first quarter of the time and of the last. A line rises
where the last is more than a quarter above the first and above what is noise; after ${JUDGED_MS / MINUTE_MS} minutes that fails the command.

| | first quarter | last quarter | |
| --- | ---: | ---: | --- |
${table(trends.map(({ name, first, last, isRising }) => [name, first.toFixed(1), last.toFixed(1), isRising ? "rises" : "flat"]))}

${QUANTITIES.map(({ title, file }) => `![${title}](soak/${file})`).join("\n\n")}
`;
  await writePage(join(values.pages, "soak.md"), page);
}

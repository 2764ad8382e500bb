/** `test:soak --minutes N [--seed N] [--pages FOLDER]`: the rig without a stop, and whether memory, table, handles and locks stay as they are. */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { formatVerdict } from "./checker/verdict.ts";
import { drawChart } from "./chart.ts";
import { keepHistory } from "./one-run/keep.ts";
import { INCOMPLETE, listenForEnd } from "./interruption.ts";
import {
  describeCommit,
  PAGES,
  provenance,
  table,
  writePage,
} from "@oncekey/test-support/reporting/page";
import { startFleet } from "./fleet/fleet.ts";
import type { Fleet } from "./fleet/fleet.ts";
import { runOn } from "./one-run/run.ts";
import type { RunReport } from "./one-run/run.ts";
import { endRetention } from "./fleet/tables.ts";
import { MIX } from "./load/operation.ts";
import { MINUTE_MS, USAGE } from "./one-run/settings.ts";
import type { Plan } from "./one-run/settings.ts";
import { FEWEST_SAMPLES, QUANTITIES, takeSample, trendsOf } from "./sample.ts";
import type { Sample, Trend } from "./sample.ts";

/** Duration of one round, which is kept in memory until it is judged. */
const ROUND_MS = 2 * MINUTE_MS;
const SAMPLE_MS = 5_000;
const HOUR_MS = 60 * MINUTE_MS;
/** Operations in an hour. */
const PLANNED = 2_000_000;
// A process needs some minutes to reach its size: what rises before is no leak.
const JUDGED_MS = 20 * MINUTE_MS;

const SOAK: Omit<Plan, "limitMs" | "seed" | "share"> = {
  operations: Infinity,
  clients: 128,
  mix: { ...MIX, others: 0.8, aroundExpiry: 0.02 },
  strikes: { kill: 0, pause: 0, terminate: 0, crash: 0 },
  disturbances: {
    commitFaults: 0,
    poolerRestarts: 0,
    poolsTaken: 0,
    databasesFilled: 0,
    poolsEnded: 0,
    tablesWrapped: 0,
  },
  wireFaults: 0.01,
};

const words = readWords();
if (words.kind !== "soak") {
  console.error(words.kind === "help" ? USAGE : `${words.what}\n\n${USAGE}`);
  process.exit(words.kind === "help" ? 0 : 1);
}
const { minutes, seed, pages } = words;

const interrupted = listenForEnd();
const commit = describeCommit();

const fleet = await startFleet({ seed });
try {
  process.exitCode = await soak(fleet);
} finally {
  await fleet.stop();
}

async function soak(on: Fleet): Promise<number> {
  const startedAt = performance.now();
  const samples: Sample[] = [];
  let missed = 0;
  let brokeOff: string | undefined;
  const sampling = setInterval(() => {
    takeSample(on, performance.now() - startedAt).then(
      (sample) => samples.push(sample),
      () => void (missed += 1),
    );
  }, SAMPLE_MS);
  const rounds: RunReport[] = [];
  try {
    for (;;) {
      const leftMs = minutes * MINUTE_MS - (performance.now() - startedAt);
      if (leftMs <= 0 || interrupted.aborted) break;
      const round = await runRound(on, seed + rounds.length, Math.min(ROUND_MS, leftMs));
      rounds.push(round);
      console.log(formatVerdict(round.verdict));
      if (round.verdict.violations.length > 0) {
        await keepHistory(round);
        break;
      }
      await endRetention(on.pool, scopesOf(round.seed));
    }
  } catch (error) {
    // The results until then are reported all the same.
    console.error(error);
    brokeOff = String(error);
  } finally {
    clearInterval(sampling);
  }
  const tookMs = performance.now() - startedAt;
  const trends = QUANTITIES.flatMap((quantity) => trendsOf(quantity, samples));
  await writePages({ rounds, samples, missed, trends, tookMs, brokeOff });
  const hasViolation = rounds.some(({ verdict }) => verdict.violations.length > 0);
  if (brokeOff !== undefined || hasViolation || !isFlat(trends, samples, tookMs)) return 1;
  return interrupted.aborted ? INCOMPLETE : 0;
}

/** Before a process has reached its size nothing is held against it. */
function isFlat(trends: readonly Trend[], samples: readonly Sample[], tookMs: number): boolean {
  if (tookMs < JUDGED_MS) return true;
  for (const { name, first, last, course } of trends)
    if (course === "rises") console.log(`RISES: ${name}, ${first} to ${last}`);
  const isKnown = samples.length >= FEWEST_SAMPLES;
  if (!isKnown) console.log(`TOO FEW SAMPLES to say what rises: ${samples.length}`);
  return isKnown && trends.every(({ course }) => course === "flat");
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

interface Soaked {
  readonly rounds: readonly RunReport[];
  readonly samples: readonly Sample[];
  /** Samples without an answer. */
  readonly missed: number;
  readonly trends: readonly Trend[];
  readonly tookMs: number;
  /** Reason, if it broke off. */
  readonly brokeOff: string | undefined;
}

async function writePages(soaked: Soaked): Promise<void> {
  const { rounds, samples, missed, trends, tookMs, brokeOff } = soaked;
  for (const quantity of QUANTITIES) {
    const lines = Object.fromEntries(
      quantity.linesOf(samples).map((line) => [line.name, line.values]),
    );
    await writePage(join(pages, "soak", quantity.file), drawChart(quantity.title, samples, lines));
  }
  const sum = (of: (round: RunReport) => number): number =>
    rounds.reduce((total, round) => total + of(round), 0);
  const operations = sum((round) => round.operations);
  const page = `# Whether it stays as it is

${provenance(`test:soak --minutes ${minutes}`, commit)} ${interrupted.aborted ? "It was interrupted." : ""}${brokeOff === undefined ? "" : `It broke off, and the round that was under way is not counted: ${brokeOff}`}

The plan of an hour is ${PLANNED.toLocaleString("en")} operations; this machine did ${operations.toLocaleString("en")} in ${(tookMs / MINUTE_MS).toFixed(1)} minutes, which is ${Math.round((100 * operations) / (PLANNED * (tookMs / HOUR_MS)))} % of that pace.

| | |
| --- | --- |
${table([
  ["time", `${Math.round(tookMs / 1_000)} s`],
  ["operations", String(operations)],
  ["operations a second", String(Math.round(operations / (tookMs / 1_000)))],
  ["attempts", String(sum(({ verdict }) => verdict.attempts))],
  ["effects", String(sum(({ verdict }) => verdict.effects))],
  ["violations", String(sum(({ verdict }) => verdict.violations.length))],
  [
    "keys that there was no time to ask for again",
    String(sum(({ evidence }) => evidence.unasked.length)),
  ],
])}

Four of five operations go to routes whose records expire after two seconds, or that take no key. Records of the others are kept for a day, which
is over when a round of ${ROUND_MS / MINUTE_MS} minutes has been judged: until the servers have swept them they are the peaks of the last picture.

Each was looked at every ${SAMPLE_MS / 1_000} seconds; ${missed} looks got no answer. ${samples.length < FEWEST_SAMPLES ? `**There are only ${samples.length} samples, and of fewer than ${FEWEST_SAMPLES} nothing can be said of a trend.** ` : ""}Medians of ${samples.length} samples, of the
first quarter of the time and of the last. A line rises if the last is above the bound in the table: a quarter above the first, or
what is noise for it, whichever is more. What grows by less than that between the two quarters, memory by a quarter or 32 MiB, is not seen. After ${JUDGED_MS / MINUTE_MS} minutes
a line that rises, or too few samples, fails the command.

| | first quarter | last quarter | may be | |
| --- | ---: | ---: | ---: | --- |
${table(trends.map(({ name, first, last, most, course }) => [name, ...[first, last, most].map(show), course]))}

${QUANTITIES.map(({ title, file }) => `![${title}](soak/${file})`).join("\n\n")}
`;
  await writePage(join(pages, "soak.md"), page);
}

/** There is no median of nothing. */
function show(value: number): string {
  return Number.isNaN(value) ? "–" : value.toFixed(1);
}

type Words =
  | {
      readonly kind: "soak";
      readonly minutes: number;
      /** Seed of the first round; each later round has the next. */
      readonly seed: number;
      readonly pages: string;
    }
  | { readonly kind: "help" }
  | { readonly kind: "wrong"; readonly what: string };

function readWords(): Words {
  try {
    const { values } = parseArgs({
      options: {
        minutes: { type: "string", default: "60" },
        seed: { type: "string", default: "0" },
        pages: { type: "string", default: PAGES },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) return { kind: "help" };
    const [asked, first] = [Number(values.minutes), Number(values.seed)];
    if (!(asked > 0)) throw new RangeError(`--minutes must be above 0, got ${values.minutes}`);
    if (!Number.isInteger(first) || first < 0)
      throw new RangeError(`--seed must be a whole number from 0, got ${values.seed}`);
    return { kind: "soak", minutes: asked, seed: first, pages: values.pages };
  } catch (error) {
    return { kind: "wrong", what: String(error) };
  }
}

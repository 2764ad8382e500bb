/** The tables of a run, for the terminal and the page. */
import { table } from "@oncekey/test-support/reporting/page";
import type { Count } from "./counts.ts";
import type { Spread } from "./statistics.ts";
import type { StormRound } from "./storm.ts";
import { DUPLICATES, HANDLER_MS } from "./storm.ts";
import { medianOf, spreadOf } from "./statistics.ts";
import { KINDS, REFERENCE } from "./subjects/subjects.ts";
import type { Kind } from "./subjects/subjects.ts";
import type { Summary } from "./summary.ts";

export const KIND_TITLE: Readonly<Record<Kind, string>> = {
  first: "First request",
  replay: "Replay from the store",
  cached: "Replay from the process",
};

const HEADS = ["subject", "connections"];
const COSTS = [
  "by CPU",
  "requests/s",
  "p50 ms",
  "p99 ms",
  "Node µs",
  "database µs",
  "load generator µs",
  "WAL bytes",
];

/** Returns one table for each kind of request, under its title. */
export function kindTables(summaries: readonly Summary[]): string[] {
  return KINDS.flatMap((kind) => {
    const own = summaries.filter((one) => one.kind === kind);
    if (own.length === 0) return [];
    const heads = [...HEADS, `× ${REFERENCE[kind]}`, ...COSTS];
    const rows = own.map((one) => [
      one.subject,
      String(one.connections),
      spreadText(one.ratio),
      spreadText(one.cpuRatio),
      whole(one.rate.median),
      one.p50Ms.median.toFixed(2),
      one.p99Ms.median.toFixed(2),
      whole(one.serverUs.median),
      whole(one.databaseUs.median),
      whole(one.loaderUs.median),
      whole(one.walBytes.median),
    ]);
    return [`${KIND_TITLE[kind]}\n\n${table([heads, heads.map(() => "-"), ...rows])}`];
  });
}

export function countTable(counts: readonly Count[]): string {
  const rows = counts.map(({ subject, kind, trips, statements }) => [
    subject,
    KIND_TITLE[kind].toLowerCase(),
    trips.toFixed(1),
    statements.toFixed(1),
  ]);
  const heads = ["subject", "request", "round trips", "statements"];
  return table([heads, heads.map(() => "-"), ...rows]);
}

/** Ratios of a storm, each measured side by side in one round. */
export function stormRatios(rounds: readonly StormRound[]): Readonly<{
  toBareStorm: Spread;
  toBareRequest: Spread;
  bareToBareRequest: Spread;
  beside: Spread;
  sharedBeside: Spread;
  unlimitedBeside: Spread;
}> {
  const spread = (of: (round: StormRound) => number): Spread => spreadOf(rounds.map(of));
  return {
    toBareStorm: spread((one) => one.stormMs / one.bareStormMs),
    toBareRequest: spread((one) => one.stormMs / one.aloneMs),
    bareToBareRequest: spread((one) => one.bareStormMs / one.aloneMs),
    beside: spread((one) => one.besideMs / one.bareBesideMs),
    sharedBeside: spread((one) => one.sharedBesideMs / one.quietMs),
    unlimitedBeside: spread((one) => one.unlimitedBesideMs / one.quietMs),
  };
}

export function stormTable(rounds: readonly StormRound[]): string {
  const ms = (of: (round: StormRound) => number): string => spreadText(spreadOf(rounds.map(of)), 1);
  return table([
    ["", "ms"],
    ["-", "-"],
    [`one request of ${HANDLER_MS} ms to the bare route`, ms((one) => one.aloneMs)],
    [`${DUPLICATES} of them to the bare route`, ms((one) => one.bareStormMs)],
    [`${DUPLICATES} duplicates to the protected route`, ms((one) => one.stormMs)],
    ["a bystander without a storm", ms((one) => one.quietMs)],
    ["a bystander beside the bare route's", ms((one) => one.bareBesideMs)],
    ["a bystander beside the duplicates", ms((one) => one.besideMs)],
    [
      `a bystander of another scope beside ${DUPLICATES} new keys of one`,
      ms((one) => one.sharedBesideMs),
    ],
    ["the same without `maxInFlightPerScope`", ms((one) => one.unlimitedBesideMs)],
    ["connections held at the most", whole(medianOf(rounds.map((one) => one.connections)))],
    [
      "the same beside the new keys of one scope",
      whole(medianOf(rounds.map((one) => one.sharedConnections))),
    ],
  ]);
}

export function spreadText({ median, lower, upper }: Spread, digits = 2): string {
  if (Number.isNaN(median)) return "–";
  return `${median.toFixed(digits)} (${lower.toFixed(digits)}–${upper.toFixed(digits)})`;
}

function whole(value: number): string {
  return Number.isNaN(value) ? "–" : Math.round(value).toLocaleString("en");
}

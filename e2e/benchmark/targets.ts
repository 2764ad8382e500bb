/** Targets of the design, each beside what was measured. */
import type { Measurement } from "./measurement.ts";
import { REPLY_BYTES } from "./subjects/handler.ts";
import { spreadOf } from "./statistics.ts";
import type { Spread } from "./statistics.ts";
import type { Kind, SubjectName } from "./subjects/subjects.ts";
import { summarise } from "./summary.ts";
import type { Summary } from "./summary.ts";
import { stormRatios } from "./table.ts";

export interface Target {
  readonly what: string;
  readonly bound: "at least" | "at most";
  readonly value: number;
  readonly measured: Spread;
  readonly digits: number;
  /** Whether other processes cannot change it. */
  readonly isCounter?: boolean;
}

const WAL_BEYOND_BODY = 350;

/** Returns a row for each target that the run has measured. */
export function targetsOf({ slices, storms, counts }: Measurement): Target[] {
  const summaries = summarise(slices);
  const find = (subject: SubjectName, kind: Kind, connections: number): Summary | undefined =>
    summaries.find(
      (one) => one.subject === subject && one.kind === kind && one.connections === connections,
    );
  const ratio = (
    subject: SubjectName,
    kind: Kind,
    connections: number,
    value: number,
  ): Target[] => {
    const measured = find(subject, kind, connections)?.ratio;
    if (measured === undefined) return [];
    const by = kind === "first" ? "F2" : "F0";
    const what = `${NAMES[kind]} × ${by}, \`${subject}\`, ${connections} connections`;
    return [{ what, bound: "at least", value, measured, digits: 2 }];
  };
  const cost = (
    what: string,
    value: number,
    of: (summary: Summary) => Spread,
    summary: Summary | undefined = find("advisory", "first", 16),
  ): Target[] =>
    summary === undefined
      ? []
      : [{ what, bound: "at most", value, measured: of(summary), digits: 0 }];
  const trips = (kind: Kind, value: number): Target[] => {
    const count = counts.find((one) => one.subject === "advisory" && one.kind === kind);
    if (count === undefined) return [];
    const what = `${NAMES[kind]}: round trips, \`advisory\``;
    return [
      {
        what,
        bound: "at most",
        value,
        measured: spreadOf([count.trips]),
        digits: 0,
        isCounter: true,
      },
    ];
  };
  const f2 = find("F2", "first", 16);
  const wal = (f2?.walBytes.median ?? Number.NaN) + REPLY_BYTES + WAL_BEYOND_BODY;
  return [
    ...ratio("advisory", "first", 1, 0.9),
    ...ratio("advisory", "first", 16, 0.7),
    ...ratio("advisory", "first", 64, 0.62),
    ...ratio("unique", "first", 16, 0.62),
    ...ratio("row", "first", 16, 0.55),
    ...ratio("lease", "first", 16, 0.6),
    ...cost("First request: Postgres CPU, µs, 16 connections", 600, (one) => one.databaseUs),
    ...cost("First request: Node CPU, µs, 16 connections", 650, (one) => one.serverUs),
    ...cost(
      "First request: WAL bytes (F2 + body + 350)",
      Math.round(wal),
      (one) => one.walBytes,
    ).map((target) => ({ ...target, isCounter: true })),
    ...[1, 16, 64].flatMap((connections) => ratio("advisory", "replay", connections, 0.35)),
    ...[1, 16, 64].flatMap((connections) => ratio("advisory", "cached", connections, 0.95)),
    ...trips("first", 3),
    // One that the reply waits for, and the end of its transaction behind the reply.
    ...trips("replay", 2),
    ...trips("cached", 0),
    ...stormTargets(storms),
  ];
}

export function isMet({ bound, value, measured: { median }, digits }: Target): boolean {
  const rounded = Number(median.toFixed(digits));
  return bound === "at least" ? rounded >= value : rounded <= value;
}

const NAMES: Readonly<Record<Kind, string>> = {
  first: "First request",
  replay: "Replay from Postgres",
  cached: "Replay from the process",
};

function stormTargets(storms: Measurement["storms"]): Target[] {
  if (storms.length === 0) return [];
  const { toBareStorm, beside } = stormRatios(storms);
  const bound = "at most";
  return [
    {
      what: "64 duplicates × the same 64 to a bare route",
      bound,
      value: 1.2,
      measured: toBareStorm,
      digits: 2,
    },
    {
      what: "Bystanders × those beside the bare route",
      bound,
      value: 1.3,
      measured: beside,
      digits: 2,
    },
  ];
}

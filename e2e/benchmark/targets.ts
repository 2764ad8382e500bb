/** Targets of the design, each beside what was measured. */
import type { Measurement } from "./measurement.ts";
import { REPLY_BYTES } from "./subjects/handler.ts";
import { spreadOf } from "./statistics.ts";
import type { Spread } from "./statistics.ts";
import { REFERENCE } from "./subjects/subjects.ts";
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

/** The least throughput by that of the reference. */
export interface RatioTarget {
  readonly subject: SubjectName;
  readonly kind: Kind;
  readonly connections: number;
  readonly value: number;
}

export const RATIO_TARGETS: readonly RatioTarget[] = [
  { subject: "advisory", kind: "first", connections: 1, value: 0.9 },
  { subject: "advisory", kind: "first", connections: 16, value: 0.7 },
  { subject: "advisory", kind: "first", connections: 64, value: 0.62 },
  { subject: "unique", kind: "first", connections: 16, value: 0.62 },
  { subject: "row", kind: "first", connections: 16, value: 0.55 },
  { subject: "lease", kind: "first", connections: 16, value: 0.6 },
  ...ofAdvisory("replay", 0.35),
  ...ofAdvisory("cached", 0.95),
];

function ofAdvisory(kind: Kind, value: number): RatioTarget[] {
  return [1, 16, 64].map((connections) => ({ subject: "advisory", kind, connections, value }));
}

export function ratioName({ subject, kind, connections }: Omit<RatioTarget, "value">): string {
  return `${NAMES[kind]} × ${REFERENCE[kind]}, \`${subject}\`, ${connections} connections`;
}

const WAL_BEYOND_BODY = 350;

/** Returns a row for each target that the run has measured. */
export function targetsOf({ slices, storms, counts }: Measurement): Target[] {
  const summaries = summarise(slices);
  const find = (subject: SubjectName, kind: Kind, connections: number): Summary | undefined =>
    summaries.find(
      (one) => one.subject === subject && one.kind === kind && one.connections === connections,
    );
  const ratios = (of: Kind): Target[] =>
    RATIO_TARGETS.flatMap((target) => {
      const { subject, kind, connections, value } = target;
      const measured = kind === of ? find(subject, kind, connections)?.ratio : undefined;
      if (measured === undefined) return [];
      return [{ what: ratioName(target), bound: "at least", value, measured, digits: 2 }];
    });
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
    ...ratios("first"),
    ...cost("First request: Postgres CPU, µs, 16 connections", 600, (one) => one.databaseUs),
    ...cost("First request: Node CPU, µs, 16 connections", 650, (one) => one.serverUs),
    ...cost(
      "First request: WAL bytes (F2 + body + 350)",
      Math.round(wal),
      (one) => one.walBytes,
    ).map((target) => ({ ...target, isCounter: true })),
    ...ratios("replay"),
    ...ratios("cached"),
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

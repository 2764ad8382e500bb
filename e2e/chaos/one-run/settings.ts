/** Settings of a run of `test:faults`, and its command-line arguments. */
import { parseArgs } from "node:util";
import { PAGES } from "@oncekey/test-support/reporting/page";
import { MIX } from "../load/operation.ts";
import type { Mix } from "../load/operation.ts";
import type { RunOptions } from "./run.ts";

/** Old days have only keys whose records soon expire. Few of them are repeated around that, which takes seconds. */
const MIX_OF_DAYS: Mix = { ...MIX, others: 0.1, aroundExpiry: 0.15 };

const OPERATIONS = 30_000;
/** For each operation, so many lease keys whose clients never come back: 500 beside 10,000. */
const ABANDONED = 0.05;

/** Three times each boundary of each strategy: 108 kills. */
const STRIKES = { kill: 3, pause: 1, terminate: 1, crash: 1 };

/** COMMITs of each kind, and what happens around. */
const DISTURBANCES = {
  commitFaults: 200,
  poolerRestarts: 10,
  poolsTaken: 10,
  databasesFilled: 5,
  poolsEnded: 20,
  tablesWrapped: 3,
};

export type Plan = Omit<RunOptions, "signal" | "onProgress"> & {
  /** The part of the whole run, above 0 and at most 1: of its operations, strikes, disturbances and hunts. */
  readonly share: number;
};

export interface Settings {
  readonly command: "run" | "mutants" | "judge" | "failover" | "help";
  readonly plan: Plan;
  /** The folder that pages are written to. */
  readonly pages: string;
  /** For `judge`: a history that was written before. */
  readonly file: string | undefined;
  /** For `mutants`: only this one. */
  readonly mutant: string | undefined;
  /** For `failover`: how often each strike falls. */
  readonly rounds: number;
}

export const MINUTE_MS = 60_000;

export const USAGE = `test:faults [--operations N] [--seed N] [--minutes N]   the whole run, quick planted bugs, and the page
test:faults --share N                                    a part of all that, such as 0.3, chosen by the seed
test:faults --partitioned                                on a table with partitions by day
test:faults --mutants [--mutant NAME]                    planted bugs, and what catches them
test:faults --failover [--rounds N]                      kills and hand-overs of a replicated PostgreSQL
test:faults --judge FILE                                 judges a history that was written before
with --pages FOLDER                                      pages go there instead of docs/reports/
with ONCEKEY_RIG_LOGS=FOLDER in the environment          servers write their warnings there, with the cause of each 503
test:soak [--minutes N] [--seed N] [--pages FOLDER]      an hour of load without faults, and what rises in it`;

/** @throws TypeError for a word that is not known, RangeError for a number that is none. */
export function readSettings(words: readonly string[]): Settings {
  const { values } = parseArgs({
    args: [...words],
    options: {
      operations: { type: "string" },
      share: { type: "string", default: "1" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
      minutes: { type: "string", default: "9" },
      partitioned: { type: "boolean", default: false },
      mutants: { type: "boolean", default: false },
      mutant: { type: "string" },
      pages: { type: "string", default: PAGES },
      judge: { type: "string" },
      failover: { type: "boolean", default: false },
      rounds: { type: "string", default: "10" },
      help: { type: "boolean", default: false },
    },
  });
  const share = toShare(values.share);
  const operations = values.operations ?? String(Math.round(OPERATIONS * share));
  const count = toNumber("operations", operations);
  const seed = toNumber("seed", values.seed);
  const { partitioned } = values;
  const plan: Plan = {
    seed,
    operations: count,
    abandoned: Math.round(count * ABANDONED),
    share,
    clients: 64,
    partitioned,
    mix: partitioned ? MIX_OF_DAYS : MIX,
    strikes: STRIKES,
    disturbances: scale(DISTURBANCES, share),
    wireFaults: 0.05,
    // With a handler that hangs at every moment no day would ever be dropped.
    hangUps: !partitioned,
    limitMs: toNumber("minutes", values.minutes) * MINUTE_MS,
  };
  const { pages, judge: file, mutant } = values;
  const rounds = toNumber("rounds", values.rounds);
  return { command: commandOf(values), plan, pages, file, mutant, rounds };
}

function commandOf(values: {
  readonly judge?: string;
  readonly mutants: boolean;
  readonly mutant?: string;
  readonly failover: boolean;
  readonly help: boolean;
}): Settings["command"] {
  if (values.help) return "help";
  if (values.judge !== undefined) return "judge";
  if (values.failover) return "failover";
  return values.mutants || values.mutant !== undefined ? "mutants" : "run";
}

function scale<Name extends string>(
  counts: Readonly<Record<Name, number>>,
  share: number,
): Readonly<Record<Name, number>> {
  const scaled = Object.entries<number>(counts).map(([name, count]) => [
    name,
    Math.ceil(count * share),
  ]);
  return Object.fromEntries(scaled) as Record<Name, number>;
}

function toShare(value: string): number {
  const share = toNumber("share", value);
  if (share > 0 && share <= 1) return share;
  throw new RangeError(`--share must be a number above 0 and at most 1, got ${value}`);
}

function toNumber(name: string, value: string): number {
  const number = Number(value);
  if (!Number.isFinite(number) || number < 0)
    throw new RangeError(`--${name} must be a number from 0, got ${value}`);
  return number;
}

/** Settings of `bench`, and its command-line arguments. */
import { parseArgs } from "node:util";
import { PAGES } from "@oncekey/test-support/reporting/page";
import type { Until } from "./load-order.ts";
import { KINDS, PEERS, STRATEGIES, SUBJECTS } from "./subjects/subjects.ts";
import type { Kind, SubjectName } from "./subjects/subjects.ts";

export interface Plan {
  /** The subjects that are measured; references come along as they are needed. */
  readonly subjects: readonly SubjectName[];
  readonly kinds: readonly Kind[];
  /** Numbers of connections. */
  readonly concurrencies: readonly number[];
  readonly rounds: number;
  /** No round begins that would end later than this after the start of the run, in ms. */
  readonly limitMs: number;
  readonly slice: Until;
  /** Before the first slice of each subject and kind. */
  readonly warmUp: Until;
  /** Number of times that a slice is measured again while others use the CPU, and the most time for that altogether. */
  readonly repeats: number;
  readonly repeatMs: number;
  readonly stormRounds: number;
  /** Number of keys that are replayed in turn. */
  readonly ring: number;
}

export interface Settings {
  readonly command: "run" | "profile" | "growth" | "floor" | "help";
  readonly plan: Plan;
  /** The folder that pages, JSON and pictures go to. `undefined`: only the terminal. */
  readonly pages: string | undefined;
  /** For `growth`: numbers of records. */
  readonly rows: readonly number[];
}

export const USAGE = `bench                                the whole run, about half an hour, and docs/reports/benchmark.md
bench --quick                        the same with short slices, under three minutes, and no page
bench --floor                        what Postgres alone and a bare handler allow, about half an hour, and docs/reports/floor.md
bench --floor --quick                the same with short slices, about four minutes, and no page
bench --profile                      CPU profiles of the server, statement statistics of Postgres, and docs/reports/profile.md
bench --growth --rows 0,1000000      first requests, replays and sweeps beside that many records, and docs/reports/growth.md
with --subjects F2,advisory          of ${SUBJECTS.map(({ name }) => name).join(", ")}, peers
     --kinds first                   of ${KINDS.join(", ")}, "storm"
     --concurrency 1,16              numbers of connections
     --rounds N --slice-ms N         how often and how long each is measured
     --pages FOLDER                  where the page goes`;

const FULL = {
  rounds: 9,
  limitMs: 3_600_000,
  sliceMs: 2_000,
  warmMs: 1_500,
  repeats: 3,
  repeatMs: 600_000,
  storm: 15,
};
const QUICK = {
  rounds: 5,
  limitMs: 150_000,
  sliceMs: 500,
  warmMs: 300,
  repeats: 1,
  repeatMs: 15_000,
  storm: 5,
};
const REFERENCES = "F0,F1,F2";
const FLOOR_REFERENCES = "F0,F2,bare";
const PROFILED = "F0,F2,advisory,lease";

/** @throws TypeError for a word that is not known, RangeError for a value that is not allowed. */
export function readSettings(words: readonly string[]): Settings {
  const { values } = parseArgs({
    args: [...words],
    options: {
      quick: { type: "boolean", default: false },
      profile: { type: "boolean", default: false },
      floor: { type: "boolean", default: false },
      growth: { type: "boolean", default: false },
      rows: { type: "string", default: "0,1000000,10000000" },
      help: { type: "boolean", default: false },
      subjects: { type: "string" },
      kinds: { type: "string", default: [...KINDS, "storm"].join(",") },
      concurrency: { type: "string", default: "1,16,64" },
      rounds: { type: "string" },
      "slice-ms": { type: "string" },
      pages: { type: "string" },
    },
  });
  const { quick, profile, growth, floor, help } = values;
  const pace = quick ? QUICK : FULL;
  const kinds = listOf("kinds", values.kinds, [...KINDS, "storm"]);
  const strategies = STRATEGIES.join(",");
  const defaults = profile ? PROFILED : quick || floor ? strategies : `${strategies},peers`;
  const asked = (values.subjects ?? defaults).replace("peers", PEERS.join(","));
  const names = SUBJECTS.map(({ name }) => name);
  const references = floor ? FLOOR_REFERENCES : REFERENCES;
  return {
    command: help ? "help" : profile ? "profile" : growth ? "growth" : floor ? "floor" : "run",
    plan: {
      subjects: listOf("subjects", profile ? asked : `${references},${asked}`, names),
      kinds: KINDS.filter((kind) => kinds.includes(kind)),
      concurrencies: numbersOf("concurrency", values.concurrency, 1),
      rounds: numberOf("rounds", values.rounds ?? String(pace.rounds), 1),
      limitMs: pace.limitMs,
      slice: { ms: numberOf("slice-ms", values["slice-ms"] ?? String(pace.sliceMs), 10) },
      warmUp: { ms: pace.warmMs },
      repeats: pace.repeats,
      repeatMs: pace.repeatMs,
      stormRounds: kinds.includes("storm") ? pace.storm : 0,
      ring: 100,
    },
    pages: values.pages?.replace(/\/?$/, "/") ?? (quick ? undefined : PAGES),
    rows: numbersOf("rows", values.rows, 0),
  };
}

function listOf<Word extends string>(
  name: string,
  value: string,
  allowed: readonly Word[],
): Word[] {
  const words = value.split(",").map((word) => {
    const found = allowed.find((one) => one.toLowerCase() === word.trim().toLowerCase());
    if (found !== undefined) return found;
    throw new RangeError(`--${name} must be of ${allowed.join(", ")}, got ${word}`);
  });
  return [...new Set(words)];
}

function numbersOf(name: string, value: string, least: number): number[] {
  return value.split(",").map((one) => numberOf(name, one, least));
}

function numberOf(name: string, value: string, least: number): number {
  const number = Number(value);
  if (Number.isInteger(number) && number >= least) return number;
  throw new RangeError(`--${name} must be a whole number from ${least}, got ${value}`);
}

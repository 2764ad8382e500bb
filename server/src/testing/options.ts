/** The options of a crash test, and their check. */
import { CRASH_POINTS } from "./crash-points.ts";
import type { CrashPoint } from "./crash-points.ts";
import type { TestedRequest } from "./send.ts";
import type { ServerCommand } from "./server-process.ts";

/** The options of `testCrashes`. */
export interface CrashTestOptions extends ServerCommand {
  /** One that has an effect each time that its handler runs, however often it is sent. */
  readonly request: TestedRequest;
  /** How many effects there are in all, by the place where they are: a count of rows, say. Nobody else may add any meanwhile. */
  readonly countEffects: () => Promise<number>;
  /** Default all: {@link CRASH_POINTS}. */
  readonly points?: readonly CrashPoint[];
  /**
   * Milliseconds in which a request has to come to its end after a crash, 1_000–600_000. Default 60_000: longer than a lease lasts
   * unless it is told otherwise.
   */
  readonly patienceMs?: number;
}

interface Check {
  readonly isRight: (value: unknown) => boolean;
  readonly allowed: string;
}

const REQUIRED = ["command", "request", "countEffects"] as const;

const CHECKS: Readonly<Record<keyof CrashTestOptions, Check>> = {
  command: {
    isRight: (value) => isList(value, isString),
    allowed: "a list of the program and its arguments",
  },
  env: {
    isRight: (value) => isObject(value) && isList(Object.values(value), isString, 0),
    allowed: "an object of strings",
  },
  request: {
    isRight: (value) => isObject(value) && "path" in value && String(value.path).startsWith("/"),
    allowed: "an object with a path that begins with a slash",
  },
  countEffects: { isRight: (value) => typeof value === "function", allowed: "a function" },
  points: {
    isRight: (value) => isList(value, (one) => CRASH_POINTS.some((point) => point === one)),
    allowed: `a list of ${CRASH_POINTS.join(", ")}`,
  },
  patienceMs: {
    isRight: (value) =>
      Number.isInteger(value) && Number(value) >= 1_000 && Number(value) <= 600_000,
    allowed: "a whole number from 1000 to 600000",
  },
};

/** @throws TypeError or RangeError that names the option, what it got and what is allowed. */
export function checkCrashTest(options: CrashTestOptions): void {
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(CHECKS, name)) {
      const known = Object.keys(CHECKS).join(", ");
      throw new TypeError(`unknown option ${name}; allowed are ${known}`);
    }
    const { isRight, allowed } = CHECKS[name as keyof CrashTestOptions];
    if (value === undefined || isRight(value)) continue;
    const message = `${name} must be ${allowed}, got ${JSON.stringify(value)}`;
    throw typeof value === "number" ? new RangeError(message) : new TypeError(message);
  }
  for (const name of REQUIRED) {
    if (options[name] === undefined) throw new TypeError(`option ${name} is required`);
  }
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function isString(value: unknown): boolean {
  return typeof value === "string";
}

function isList(value: unknown, isRight: (one: unknown) => boolean, least = 1): boolean {
  return Array.isArray(value) && value.length >= least && value.every(isRight);
}

/** The options of a crash test, and their check. */
import { CRASH_POINTS } from "./crash-points.ts";
import type { CrashPoint } from "./crash-points.ts";
import type { EffectCounters, QueryablePool } from "./effects.ts";
import type { TestedRequest } from "./send.ts";
import type { ServerCommand } from "./server-process.ts";

/** The options of `testCrashes`. `pool`, `countEffects` or both are needed. */
export interface CrashTestOptions extends ServerCommand {
  /**
   * A request that has the same effect each time that its handler runs. Or a function that prepares one, such as an order to pay, and
   * is called once for each key.
   */
  readonly request: TestedRequest | (() => TestedRequest | Promise<TestedRequest>);
  /**
   * A `pg.Pool` of the database behind the server. All its tables are compared, by rows and by the
   * sums of numbers, with what the request changes without a crash. Nothing else may write to them
   * during the test.
   */
  readonly pool?: QueryablePool;
  /**
   * Counts all effects at another place, such as the calls that a provider got: a function, or
   * several by name.
   */
  readonly countEffects?: EffectCounters;
  /** Tables (`sessions`, `billing.events`) and columns (`orders.version`) of `pool` that are not compared. Default none. */
  readonly ignore?: readonly string[];
  /** Points at which to kill the server. Default all: {@link CRASH_POINTS}. */
  readonly points?: readonly CrashPoint[];
  /**
   * Time limit for a request to get its final answer after a crash, in ms.
   *
   * @range 1_000–600_000
   * @default 60_000 (longer than a lease lasts by default)
   */
  readonly patienceMs?: number;
}

interface Check {
  readonly isRight: (value: unknown) => boolean;
  readonly allowed: string;
}

const REQUIRED = ["command", "request"] as const;

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
    isRight: (value) =>
      typeof value === "function" ||
      (isObject(value) && "path" in value && String(value.path).startsWith("/")),
    allowed: "an object with a path that begins with a slash, or a function that returns one",
  },
  pool: {
    isRight: (value) => isObject(value) && "query" in value && typeof value.query === "function",
    allowed: "a pg.Pool",
  },
  countEffects: {
    isRight: (value) =>
      isFunction(value) || (isObject(value) && isList(Object.values(value), isFunction)),
    allowed: "a function, or an object of functions",
  },
  ignore: {
    isRight: (value) => isList(value, isString, 0),
    allowed: "a list of table or column names",
  },
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
  if (options.pool === undefined && options.countEffects === undefined)
    throw new TypeError("option pool or countEffects is required");
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function isFunction(value: unknown): boolean {
  return typeof value === "function";
}

function isString(value: unknown): boolean {
  return typeof value === "string";
}

function isList(value: unknown, isRight: (one: unknown) => boolean, least = 1): boolean {
  return Array.isArray(value) && value.length >= least && value.every(isRight);
}

/** The options of everything that sends: their meaning, their defaults with the reason, and their check at creation. */
import type { KeyFormat } from "@oncekey/shared";
import type { Backoff, BackoffOptions } from "./backoff.ts";
import type { EventCallbacks } from "./events.ts";
import type { KeyOption } from "./key.ts";
import { accept, checkOptions, integer, isFunction, oneOf } from "../validation/check.ts";
import type { Check } from "../validation/check.ts";
import type { Warn } from "./warnings.ts";

/** Options for attempts and their time. The client's apply to all operations, an operation's to its own runs. */
export interface RetryOptions {
  /**
   * Largest number of attempts. Polls of an earlier request that still runs do not count.
   *
   * @range 1–100
   * @default 4
   */
  readonly attempts?: number | undefined;
  /**
   * Timeout of one attempt, body included, in ms.
   *
   * @range 1–600_000
   * @default 15_000 (longer than a server holds a duplicate)
   */
  readonly attemptTimeoutMs?: number | undefined;
  /**
   * Deadline for settling one key, waits included, in ms. An earlier operation that a run has to settle first has its own.
   *
   * @range 1–3_600_000
   * @default 60_000 (longer than a user watches a spinner)
   */
  readonly deadlineMs?: number | undefined;
  /**
   * Waits between attempts, with full jitter.
   *
   * @default { baseMs: 500, capMs: 8_000 }
   */
  readonly backoff?: BackoffOptions | undefined;
  /**
   * A success without the echoed `Idempotency-Key`: the route may not be protected. `'warn'`: `onWarning` is called, once for
   * each target. `'refuse'`: the result is `unknown`, and so is every 4xx without the echo after an attempt whose outcome is not known.
   * For servers that echo the key on every answer, as `@oncekey/server` does. `'ignore'`: no warning.
   *
   * @default 'warn'
   */
  readonly onUnacknowledged?: "warn" | "refuse" | "ignore" | undefined;
}

/** Options that the client and `createIdempotentFetch` have in common, all of them optional. */
export interface SendingOptions extends RetryOptions, EventCallbacks {
  /**
   * Kind of new keys.
   *
   * @default 'v7'
   */
  readonly key?: KeyOption | undefined;
  /**
   * Format of the header: `'bare'`, or `'structured'` as the IETF draft has it.
   *
   * @default 'bare' (every deployed service takes it)
   */
  readonly keyFormat?: KeyFormat | undefined;
  /**
   * Number of retries that all operations together have before a success is needed.
   *
   * @range 0–1_000_000
   * @default 10
   */
  readonly retryBudget?: number | undefined;
  /**
   * Called for faults that do not fail a run but need a fix.
   *
   * @default console.warn
   */
  readonly onWarning?: Warn | undefined;
}

/** {@link RetryOptions} with every default in place. */
export type SendingPolicy = Given<Omit<RetryOptions, "backoff">> & { readonly backoff: Backoff };

type Given<Options> = { readonly [Name in keyof Options]-?: NonNullable<Options[Name]> };

const DEFAULTS: SendingPolicy = {
  attempts: 4,
  attemptTimeoutMs: 15_000,
  deadlineMs: 60_000,
  backoff: { baseMs: 500, capMs: 8_000 },
  onUnacknowledged: "warn",
};

export const RETRY_CHECKS: Readonly<Record<keyof RetryOptions, Check>> = {
  attempts: integer(1, 100),
  attemptTimeoutMs: integer(1, 600_000),
  deadlineMs: integer(1, 3_600_000),
  backoff(name, value) {
    checkOptions(
      value as object,
      { baseMs: integer(1, 60_000), capMs: integer(1, 600_000) },
      `${name}.`,
    );
  },
  onUnacknowledged: oneOf("warn", "refuse", "ignore"),
};

export const SENDING_CHECKS: Readonly<Record<keyof SendingOptions, Check>> = {
  ...RETRY_CHECKS,
  key: accept(
    (value) => value === "v7" || value === "v4" || typeof value === "function",
    "'v7', 'v4' or a function",
  ),
  keyFormat: oneOf("bare", "structured"),
  retryBudget: integer(0, 1_000_000),
  onWarning: isFunction,
  onAttempt: isFunction,
  onWait: isFunction,
};

/** Fills in what `own` leaves out from `base`, the defaults where there is none. */
export function resolveSending(own: RetryOptions, base: SendingPolicy = DEFAULTS): SendingPolicy {
  return { ...fillIn(own, base), backoff: fillIn(own.backoff ?? {}, base.backoff) };
}

/** Returns the members of `base`, each replaced by the member of `own` if that is given. */
export function fillIn<Options extends object>(own: object, base: Options): Options {
  const given = own as Partial<Options>;
  const names = Object.keys(base) as (keyof Options)[];
  return Object.fromEntries(names.map((name) => [name, given[name] ?? base[name]])) as Options;
}

/** The retry loop: what the client and a run give it, and its state. */
import type { ErrorMaker } from "@oncekey/shared";
import type { RetryBudget } from "../options/backoff.ts";
import type { Report } from "../options/events.ts";
import type { Repeat } from "./repeat.ts";
import type { PreparedRequest } from "../wire/request.ts";
import type { Answer } from "../wire/answer.ts";
import type { Send } from "../wire/send.ts";
import type { SendingPolicy } from "../options/retry-options.ts";
import type { Warn } from "../options/warnings.ts";

/** Dependencies of the loop that belong to the client. */
export interface LoopParts {
  readonly send: Send;
  readonly repeat: Repeat;
  readonly budget: RetryBudget;
  readonly warn: Warn;
  /** Origins that have echoed a key to this client. */
  readonly echoing: Set<string>;
  /** Makes the error of a refusal. */
  readonly createError: ErrorMaker;
  readonly renewal: Renewal | undefined;
}

export interface Renewal {
  /** Returns how often credentials were renewed. A request that was sent before a renewal needs none of its own. */
  readonly current: () => number;
  /**
   * Asks the application to renew its credentials. Returns whether another attempt can succeed.
   *
   * @param sentUnder the result of `current` when the request was sent.
   */
  readonly after: (refusal: Answer, loop: Loop, sentUnder: number | undefined) => Promise<boolean>;
}

export interface LoopInput {
  readonly request: PreparedRequest;
  readonly key: string;
  readonly policy: SendingPolicy;
  readonly signal: AbortSignal | undefined;
  /** Whether an earlier run sent this key and does not know what came of it. */
  readonly isUnresolved: boolean;
  /** Returns when the server may forget the key, in milliseconds since 1970. */
  readonly sendableUntil?: (told: Told) => number;
  /** Whether only a stored response is asked for. */
  readonly isCheck?: boolean;
  /** Whether the caller reads the body of the response. */
  readonly keepsBody?: boolean | undefined;
  readonly report: Report;
}

/** Facts about a loop besides its end. */
export interface Told {
  /** When the run began, in milliseconds since 1970. */
  readonly startedAt: number;
  /** The last whole answer, final or not. */
  readonly answer: Answer | undefined;
  /** Number of attempts, without polls. */
  readonly attempts: number;
}

/** One loop: what it was given, and its state. */
export interface Loop extends LoopParts, LoopInput, Told {
  /** On the monotonic clock, which may pause while the machine sleeps. */
  readonly deadlineAt: number;
  /** On the wall clock, in milliseconds since 1970: nothing is sent later. An answer may shorten it. */
  readonly endsAt: () => number;
  /** Whether an earlier run or an earlier attempt may have had an effect. */
  isUnresolved: boolean;
  isSent: boolean;
  /** Whether an attempt had no answer. */
  hasFailed: boolean;
  /** Whether the application was asked to renew its credentials. */
  isRenewed: boolean;
  attempts: number;
  polls: number;
  answer: Answer | undefined;
}

/** Returns the milliseconds in which the client may still send: none after a sleep in which the server may have forgotten the key. */
export function leftMs({ deadlineAt, endsAt }: Loop): number {
  return Math.max(0, Math.min(deadlineAt - performance.now(), endsAt() - Date.now()));
}

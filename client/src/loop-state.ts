/** What the loop is given, and where it stands. */
import type { RetryBudget } from "./backoff.ts";
import type { Verdict } from "./classify.ts";
import type { Ending, Standing } from "./ending.ts";
import type { Report } from "./event.ts";
import type { RetryPolicy, UnauthorizedHook } from "./options.ts";
import type { Repeat } from "./repeat.ts";
import type { PreparedRequest } from "./request.ts";
import type { Answer, Send } from "./send.ts";
import type { Warn } from "./warning.ts";

/** What the loop needs from the client. */
export interface LoopParts {
  readonly send: Send;
  readonly repeat: Repeat;
  readonly budget: RetryBudget;
  readonly warn: Warn;
  readonly onUnauthorized: UnauthorizedHook | undefined;
}

export interface LoopInput {
  readonly request: PreparedRequest;
  readonly key: string;
  readonly policy: RetryPolicy;
  readonly signal: AbortSignal | undefined;
  /** Whether an earlier run sent this key and does not know what came of it. */
  readonly isUnresolved: boolean;
  /** Whether only a stored response is asked for. */
  readonly isCheck?: boolean;
  readonly report: Report;
}

type Again = Extract<Verdict, { kind: "retry" | "poll" }>;

/** Where the loop stands. Held beside what repeats: p-retry drops a success when a signal aborts late, and would classify by itself. */
export interface LoopState {
  readonly deadlineAt: number;
  isUnresolved: boolean;
  isSent: boolean;
  /** Whether an attempt had no answer. */
  hasFailed: boolean;
  /** Whether the application was asked to renew its credentials. */
  isRenewed: boolean;
  attempts: number;
  polls: number;
  answer: Answer | undefined;
  again: Again | undefined;
  ending: Ending | undefined;
}

/** Milliseconds until the deadline, at least 1. */
export function leftMs({ deadlineAt }: LoopState): number {
  return Math.max(1, deadlineAt - performance.now());
}

export function standing(input: LoopInput, { isSent }: LoopState): Standing {
  return { key: input.key, mayHaveArrived: isSent || input.isUnresolved };
}

/** The one loop: the same key and the same bytes, again and again, until the answer is final or the time is up. */
import { IdempotencyError, OutcomeUnknownError } from "@oncekey/shared";
import { sendAuthorized } from "./authorize.ts";
import { fullJitterMs, pause } from "./backoff.ts";
import { classify, isAcknowledged } from "./classify.ts";
import type { Verdict } from "./classify.ts";
import { gaveUp, later, stopped } from "./ending.ts";
import type { Ending } from "./ending.ts";
import { leftMs, standing } from "./loop-state.ts";
import type { LoopInput, LoopParts, LoopState } from "./loop-state.ts";
import { isOffline, untilOnline } from "./offline.ts";
import type { Answer } from "./send.ts";

export interface Settlement {
  readonly ending: Ending;
  /** Attempts that were made, polls not counted. */
  readonly attempts: number;
  /** The last answer that came whole, final or not. */
  readonly answer: Answer | undefined;
}

/** Thrown to what repeats, which asks for an error; it never decides anything itself. */
class AttemptFailedError extends Error {
  override name = "AttemptFailedError";
}

/** Sends until the outcome is known or cannot be. Never throws for anything that a network or a server does. */
export async function sendUntilSettled(parts: LoopParts, input: LoopInput): Promise<Settlement> {
  const state: LoopState = {
    deadlineAt: performance.now() + input.policy.deadlineMs,
    isUnresolved: input.isUnresolved,
    isSent: false,
    hasFailed: false,
    isRenewed: false,
    attempts: 0,
    polls: 0,
    answer: undefined,
    again: undefined,
    ending: undefined,
  };
  try {
    await parts.repeat(
      () => attempt(parts, input, state),
      () => mayGoOn(parts, input, state),
    );
  } catch (error) {
    if (!(error instanceof AttemptFailedError)) throw error;
  }
  const { attempts, answer } = state;
  const ending = state.ending ?? gaveUp("The attempts ended", standing(input, state));
  return { ending, attempts, answer };
}

async function attempt(parts: LoopParts, input: LoopInput, state: LoopState): Promise<void> {
  const { signal } = input;
  state.again = undefined;
  if (isOffline()) await waitForConnection(input, state);
  if (!signal?.aborted) {
    const outcome = await sendAuthorized(parts, input, state);
    if (!(outcome instanceof IdempotencyError)) {
      state.answer = outcome;
      judge(parts, input, state, outcome);
    } else if (!signal?.aborted) {
      state.isUnresolved ||= state.isSent;
      state.again = {
        kind: "retry",
        cause: outcome,
        waitMs: undefined,
        isTimeUnreadable: false,
      };
    }
  }
  if (state.ending === undefined && state.again === undefined && signal?.aborted) {
    state.ending = stopped(signal, standing(input, state));
  }
  if (state.ending === undefined) throw new AttemptFailedError();
}

// Half of what is left at the most: what the device says may be wrong, so that it is tried in any case.
async function waitForConnection({ policy, signal, report }: LoopInput, state: LoopState) {
  const waitMs = Math.min(policy.backoff.capMs, leftMs(state) / 2);
  report({ kind: "wait", attempt: state.attempts + 1, reason: "offline", waitMs });
  await untilOnline(waitMs, signal);
}

/** Puts what an answer means into the state: an ending, or a reason to go on. */
function judge(parts: LoopParts, input: LoopInput, state: LoopState, answer: Answer): void {
  const verdict = classify(answer, input.key, state.isUnresolved);
  if ("cause" in verdict && verdict.isTimeUnreadable) {
    const message = `Retry-After of ${input.request.url} cannot be read: on another origin it has to be exposed`;
    parts.warn({ code: "retry_after_unreadable", message });
  }
  switch (verdict.kind) {
    case "done":
      parts.budget.refill();
      state.ending = finished(parts, input, answer, verdict);
      return;
    case "rejected":
      state.ending = verdict;
      return;
    case "unknown":
      state.ending = { ...verdict, retryAt: later(verdict.error.retryAfterMs) };
      return;
    case "poll":
      state.attempts -= 1;
      state.polls += 1;
      state.isUnresolved = true;
      state.again = verdict;
      return;
    case "retry":
      state.isUnresolved = true;
      state.again = verdict;
      return;
    default:
      verdict satisfies never;
  }
}

function finished(
  { warn }: LoopParts,
  { request, key, policy }: LoopInput,
  answer: Answer,
  verdict: Extract<Verdict, { kind: "done" }>,
): Ending {
  if (isAcknowledged(answer, key)) return { ...verdict, answer };
  const message = `${request.method} ${request.url} succeeded without echoing Idempotency-Key: is the route protected?`;
  warn({ code: "unacknowledged", message });
  if (policy.onUnacknowledged === "warn") return { ...verdict, answer };
  const error = new OutcomeUnknownError(message, { key, status: verdict.status });
  return { kind: "unknown", error, retryAt: undefined };
}

/** Waits for the next attempt, or ends the loop where there is none. */
async function mayGoOn(
  { budget }: LoopParts,
  input: LoopInput,
  state: LoopState,
): Promise<boolean> {
  const { policy, signal } = input;
  const { again, attempts, polls, deadlineAt } = state;
  if (again === undefined) return false;
  const { kind, waitMs } = again;
  const tries = kind === "poll" ? polls : attempts;
  const pauseMs = Math.max(waitMs ?? 0, fullJitterMs(tries, policy.backoff));
  const giveUpBecause = (): string | undefined => {
    if (kind === "retry" && attempts >= policy.attempts)
      return `No final answer after ${attempts} attempts`;
    if (performance.now() + pauseMs >= deadlineAt)
      return `No final answer within ${policy.deadlineMs} ms`;
    if (kind === "retry" && !budget.take()) return "The client's retry budget is used up";
    return undefined;
  };
  const reason = giveUpBecause();
  if (reason === undefined) {
    const why = kind === "poll" ? "in-flight" : "retry";
    input.report({ kind: "wait", attempt: attempts + 1, reason: why, waitMs: pauseMs });
    await pause(pauseMs, signal);
    return true;
  }
  state.ending = gaveUp(reason, standing(input, state), again);
  return false;
}

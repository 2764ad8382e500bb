/** The one loop: the same key and the same bytes, again and again, until the answer is final or the time is up. */
import { IdempotencyError } from "@oncekey/shared";
import { fullJitterMs, pause } from "../options/backoff.ts";
import { classify, isAcknowledged } from "./classify.ts";
import type { Again, Verdict } from "./classify.ts";
import { failed, gaveUp, stopped, unknownBecause } from "./loop-result.ts";
import type { Ending } from "./loop-result.ts";
import { leftMs } from "./loop-state.ts";
import type { LoopInput, LoopParts, LoopState, Told } from "./loop-state.ts";
import { isOffline } from "./offline.ts";
import type { Answer } from "../wire/answer.ts";
import { HookError } from "../wire/hook-error.ts";

export interface Settlement extends Told {
  readonly ending: Ending;
  /** Attempts that were made, polls not counted. */
  readonly attempts: number;
}

/** Sends until the outcome is known or cannot be. Never throws for anything that a network or a server does. */
export async function sendUntilSettled(parts: LoopParts, input: LoopInput): Promise<Settlement> {
  const { deadlineMs } = input.policy;
  const startedAt = Date.now();
  const state: LoopState = {
    startedAt,
    deadlineAt: performance.now() + deadlineMs,
    // Twice as long: a clock that is corrected by a little ends nothing.
    endsAt: () => Math.min(startedAt + 2 * deadlineMs, input.sendableUntil?.(state) ?? Infinity),
    isUnresolved: input.isUnresolved,
    isSent: false,
    hasFailed: false,
    isRenewed: false,
    attempts: 0,
    polls: 0,
    answer: undefined,
  };
  const ending = await parts.repeat(async () => {
    const next = await attempt(parts, input, state);
    return "cause" in next ? waitOrGiveUp(parts, input, state, next) : next;
  });
  return { ...state, ending };
}

/** Sends, and where the answer is 401, once more as soon as the application has renewed its credentials. */
async function attempt(
  parts: LoopParts,
  input: LoopInput,
  state: LoopState,
): Promise<Ending | Again> {
  const { signal } = input;
  if (isOffline()) await waitForConnection(input, state);
  if (signal?.aborted) return stopped(signal, input, state);
  let result = await sendOnce(parts, input, state);
  if (isAnswer(result) && result.status === 401) {
    // Refused before the key was looked at: it did nothing. Not so where a redirect led away from what was done.
    state.isSent = state.isUnresolved || result.isRedirected;
    if (await parts.renew?.(result, input, state)) result = await sendOnce(parts, input, state);
  }
  if (!isAnswer(result)) return signal?.aborted ? stopped(signal, input, state) : result;
  state.answer = result;
  return judge(parts, input, state, result);
}

function isAnswer(result: Answer | Again | Ending): result is Answer {
  return "headers" in result;
}

async function sendOnce(
  { send }: LoopParts,
  input: LoopInput,
  state: LoopState,
): Promise<Answer | Again | Ending> {
  const { request, key, policy, signal, isCheck = false, report } = input;
  state.attempts += 1;
  report({ kind: "attempt", attempt: state.attempts });
  try {
    return await send(request, key, {
      timeoutMs: Math.min(policy.attemptTimeoutMs, leftMs(state)),
      signal,
      onSent() {
        if (leftMs(state) === 0) throw new Error("too late");
        state.isSent = true;
      },
      mayOutlive: !state.hasFailed,
      isCheck,
    });
  } catch (cause) {
    if (cause instanceof HookError) return failed(cause, input, state);
    state.hasFailed = true;
    state.isUnresolved ||= state.isSent;
    const reason = cause instanceof Error ? cause.message : String(cause);
    const error = new IdempotencyError(`No answer: ${reason}`, undefined, { key, cause });
    return { kind: "retry", cause: error };
  }
}

// Half of what is left at the most: what the device says may be wrong, so that it is tried in any case.
async function waitForConnection({ policy, signal, report }: LoopInput, state: LoopState) {
  const waitMs = Math.min(policy.backoff.capMs, leftMs(state) / 2);
  report({ kind: "wait", attempt: state.attempts + 1, reason: "offline", waitMs });
  await pause(waitMs, signal, globalThis);
}

/** What an answer means here: an ending, or a reason to go on. */
function judge(
  parts: LoopParts,
  input: LoopInput,
  state: LoopState,
  answer: Answer,
): Ending | Again {
  const verdict = classify(answer, input.key, state.isUnresolved, parts.createError);
  if (verdict.kind === "done") {
    parts.budget.refill();
    return finished(parts, input, answer, verdict);
  }
  if (verdict.kind === "rejected" && isHearsay(input, state, answer, verdict.error)) {
    const { error } = verdict;
    return { kind: "unknown", error: unknownBecause(error, error.message, input.key) };
  }
  if (!("cause" in verdict)) return verdict;
  if (verdict.isTimeUnreadable) {
    const message = `Retry-After of ${input.request.url} cannot be read: expose it (CORS)`;
    parts.warn({ code: "retry_after_unreadable", message });
  }
  if (verdict.kind === "poll") {
    state.attempts -= 1;
    state.polls += 1;
  }
  state.isUnresolved = true;
  return verdict;
}

// Where the server is known to echo the key, a refusal without it came from somewhere in front: a gateway's 404 says nothing of
// what an earlier attempt did.
function isHearsay(
  { policy, key }: LoopInput,
  { isUnresolved }: LoopState,
  answer: Answer,
  error: IdempotencyError,
): boolean {
  const isOurs = error.code !== undefined || isAcknowledged(answer, key);
  return policy.onUnacknowledged === "refuse" && isUnresolved && !isOurs;
}

function finished(
  { warn }: LoopParts,
  { request, key, policy }: LoopInput,
  answer: Answer,
  verdict: Extract<Verdict, { kind: "done" }>,
): Ending {
  if (isAcknowledged(answer, key)) return verdict;
  const message = `${request.method} ${request.url} succeeded without echoing Idempotency-Key: is it protected?`;
  warn({ code: "unacknowledged", message });
  if (policy.onUnacknowledged === "warn") return verdict;
  const error = new IdempotencyError(message, "outcome_unknown", { key, status: verdict.status });
  return { kind: "unknown", error };
}

/** Waits for the next attempt, or says how it ends where there is none. */
async function waitOrGiveUp(
  { budget }: LoopParts,
  input: LoopInput,
  state: LoopState,
  { kind, cause }: Again,
): Promise<Ending | undefined> {
  const { policy, signal, report } = input;
  const { attempts, polls } = state;
  const isPoll = kind === "poll";
  const jitterMs = fullJitterMs(isPoll ? polls : attempts, policy.backoff);
  const waitMs = Math.max(cause.retryAfterMs ?? 0, jitterMs);
  const giveUp = (why: string): Ending => gaveUp(why, input, state, cause);
  if (!isPoll && attempts >= policy.attempts)
    return giveUp(`No final answer after ${attempts} attempts`);
  const late = `No final answer within ${policy.deadlineMs} ms`;
  if (waitMs >= leftMs(state)) return giveUp(late);
  if (!isPoll && !budget.take()) return giveUp("The client's retry budget is used up");
  report({ kind: "wait", attempt: attempts + 1, reason: isPoll ? "in-flight" : "retry", waitMs });
  await pause(waitMs, signal);
  // A machine that slept wakes up here, hours later.
  return leftMs(state) > 0 ? undefined : giveUp(late);
}

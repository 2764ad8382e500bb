/** The retry loop: sends the same key and bytes until the answer is final or the time is up. */
import { IdempotencyError } from "@oncekey/shared";
import { fullJitterMs, pause } from "../options/backoff.ts";
import { classify, isAcknowledged } from "./classify.ts";
import { isAgain } from "./again.ts";
import type { Again } from "./again.ts";
import { failed, gaveUp, stopped } from "./loop-result.ts";
import type { LoopResult } from "./loop-result.ts";
import { leftMs } from "./loop-state.ts";
import type { LoopInput, LoopParts, LoopState } from "./loop-state.ts";
import { isOffline } from "./offline.ts";
import { timeUnreadable, unacknowledged, warnOfOrigin } from "./server-warnings.ts";
import type { Answer } from "../wire/answer.ts";
import { HookError } from "../wire/hook-error.ts";

/** Sends until the outcome is known, or until the client gives up. Never throws for a network or server error. */
export async function sendUntilSettled(parts: LoopParts, input: LoopInput): Promise<LoopResult> {
  const { attempts, deadlineMs } = input.policy;
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
  return parts.repeat<LoopResult>({
    attempts,
    once: async () => attempt(parts, input, state),
    next: async (again, retries) => waitOrGiveUp(parts, input, state, again, retries),
  });
}

/** Sends one attempt, and repeats it after a 401 if the application has renewed its credentials. */
async function attempt(
  parts: LoopParts,
  input: LoopInput,
  state: LoopState,
): Promise<LoopResult | Again> {
  const { signal, report } = input;
  // Only after a failure: some devices report for hours that they are offline although they are not.
  if (state.hasFailed && isOffline()) await waitForConnection(input, state);
  if (signal?.aborted) return stopped(signal, input, state);
  const credentials = parts.renewal?.current();
  let result = await sendOnce(parts, input, state);
  if (isAnswer(result) && result.status === 401) {
    // Refused before the key was looked at, so nothing happened, unless a redirect led to another resource.
    state.isSent = state.isUnresolved || result.isRedirected;
    const isRenewed = await parts.renewal?.after(result, input, state, credentials);
    if (isRenewed) result = await sendOnce(parts, input, state);
  }
  if (!isAnswer(result)) return signal?.aborted ? stopped(signal, input, state) : result;
  const judged = judge(parts, input, state, (state.answer = result));
  report({ kind: "outcome", attempt: state.attempts, outcome: `${result.status} ${judged.kind}` });
  if (isAgain(judged)) state.isUnresolved = true;
  // A poll is no attempt of its own.
  if (judged.kind === "poll") {
    state.attempts -= 1;
    state.polls += 1;
  }
  return judged;
}

function isAnswer(result: Answer | Again | LoopResult): result is Answer {
  return "headers" in result;
}

async function sendOnce(
  { send, warn }: LoopParts,
  input: LoopInput,
  state: LoopState,
): Promise<Answer | Again | LoopResult> {
  const { request, key, policy, signal, isCheck = false, report } = input;
  state.attempts += 1;
  const { attempts: number } = state;
  report({ kind: "attempt", attempt: number });
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
    const reason = cause instanceof Error ? cause.message : String(cause);
    report({ kind: "outcome", attempt: number, outcome: `no answer (${reason})` });
    if (cause instanceof HookError) return failed(cause, input, state);
    state.hasFailed = true;
    state.isUnresolved ||= state.isSent;
    if (state.isSent && !signal?.aborted) warnOfOrigin(request, warn);
    const error = new IdempotencyError(`No answer: ${reason}`, undefined, { key, cause });
    return { kind: "retry", cause: error };
  }
}

// At most half of the time that is left: the device may be wrong, so the client sends in any case.
async function waitForConnection({ policy, signal, report }: LoopInput, state: LoopState) {
  const waitMs = Math.min(policy.backoff.capMs, leftMs(state) / 2);
  report({ kind: "wait", attempt: state.attempts + 1, reason: "offline", waitMs });
  await pause(waitMs, signal, globalThis);
}

/** Classifies an answer, and holds a success against what the policy demands of it. */
function judge(
  { budget, createError, echoing, warn }: LoopParts,
  { request, key, policy }: LoopInput,
  told: LoopState,
  answer: Answer,
): LoopResult | Again {
  const { origin } = new URL(request.url);
  const isEchoed = isAcknowledged(answer, key);
  if (isEchoed && !answer.isRedirected) echoing.add(origin);
  const { onUnacknowledged } = policy;
  const isEchoing = onUnacknowledged === "refuse" || echoing.has(origin);
  const { isUnresolved } = told;
  const judged = classify(answer, { key, isUnresolved, isEchoing, createError, told });
  if (isAgain(judged) && judged.isTimeUnreadable) warn(timeUnreadable(request));
  if (judged.kind !== "done") return judged;
  budget.refill();
  // The target of a redirect is another resource, which has no key to echo.
  if (isEchoed || answer.isRedirected || onUnacknowledged === "ignore") return judged;
  const warning = unacknowledged(request, answer);
  warn(warning);
  if (onUnacknowledged === "warn") return judged;
  const { message } = warning;
  const error = new IdempotencyError(message, "outcome_unknown", { key, status: judged.status });
  return { kind: "unknown", error, told };
}

/** Waits for the next attempt, or returns how the loop ends if there is none. */
async function waitOrGiveUp(
  { budget }: LoopParts,
  input: LoopInput,
  state: LoopState,
  { kind, cause }: Again,
  retries: number,
): Promise<LoopResult | undefined> {
  const { policy, signal, report } = input;
  const { attempts, polls } = state;
  const isPoll = kind === "poll";
  // On top of Retry-After, so that clients that failed together do not retry together.
  const jitterMs = fullJitterMs(isPoll ? polls : retries + 1, policy.backoff);
  const waitMs = (cause.retryAfterMs ?? 0) + jitterMs;
  const giveUp = (why: string): LoopResult => gaveUp(why, input, state, cause);
  if (!isPoll && retries + 1 >= policy.attempts)
    return giveUp(`No final answer after ${attempts} attempts`);
  const late = `No final answer within ${policy.deadlineMs} ms`;
  if (waitMs >= leftMs(state)) return giveUp(late);
  if (!isPoll && !budget.take()) return giveUp("The client's retry budget is used up");
  report({ kind: "wait", attempt: attempts + 1, reason: isPoll ? "in-flight" : "retry", waitMs });
  await pause(waitMs, signal);
  // A machine that slept wakes up here, hours later.
  return leftMs(state) > 0 ? undefined : giveUp(late);
}

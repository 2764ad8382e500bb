/** The retry loop: sends the same key and bytes until the answer is final or the time is up. */
import { IdempotencyError } from "@oncekey/shared";
import { fullJitterMs } from "../options/backoff.ts";
import { classify } from "./classify.ts";
import { isAgain } from "./again.ts";
import type { Again } from "./again.ts";
import { endWithout, stopped } from "./loop-result.ts";
import type { LoopEnd, LoopResult } from "./loop-result.ts";
import { leftMs } from "./loop-state.ts";
import type { Loop, LoopInput, LoopParts } from "./loop-state.ts";
import { isOffline } from "./offline.ts";
import { warnOfOrigin } from "./server-warnings.ts";
import type { Answer } from "../wire/answer.ts";
import { HookError } from "../wire/hook-error.ts";
import { pause } from "../wire/timeout.ts";

/** Sends until the outcome is known, or until the client gives up. Never throws for a network or server error. */
export async function sendUntilSettled(parts: LoopParts, input: LoopInput): Promise<LoopResult> {
  const { attempts, deadlineMs } = input.policy;
  const startedAt = Date.now();
  const loop: Loop = {
    ...parts,
    ...input,
    startedAt,
    deadlineAt: performance.now() + deadlineMs,
    // Twice as long: a clock that is corrected by a little ends nothing.
    endsAt: () => Math.min(startedAt + 2 * deadlineMs, input.sendableUntil?.(loop) ?? Infinity),
    isSent: false,
    hasFailed: false,
    isRenewed: false,
    attempts: 0,
    polls: 0,
    answer: undefined,
  };
  const end = await parts.repeat<LoopEnd>({
    attempts,
    once: async () => attempt(loop),
    next: async (again, retries) => waitOrGiveUp(loop, again, retries),
  });
  return { ...end, told: loop };
}

/** Sends one attempt, and repeats it after a 401 if the application has renewed its credentials. */
async function attempt(loop: Loop): Promise<LoopEnd | Again> {
  const { renewal, signal } = loop;
  // Only after a failure: some devices report for hours that they are offline although they are not.
  if (loop.hasFailed && isOffline()) await waitForConnection(loop);
  if (signal?.aborted) return stopped(loop);
  const credentials = renewal?.current();
  let result = await sendOnce(loop);
  if (isAnswer(result) && result.status === 401) {
    // Refused before the key was looked at, so nothing happened, unless a redirect led to another resource.
    loop.isSent = result.isRedirected;
    if (await renewal?.after(result, loop, credentials)) result = await sendOnce(loop);
  }
  if (!isAnswer(result)) return signal?.aborted ? stopped(loop) : result;
  const judged = classify((loop.answer = result), loop);
  reportOutcome(loop, `${result.status} ${judged.kind}`);
  if (judged.kind === "done") loop.budget.refill();
  if (isAgain(judged)) loop.isUnresolved = true;
  // A poll is no attempt of its own.
  if (judged.kind === "poll") {
    loop.attempts -= 1;
    loop.polls += 1;
  }
  return judged;
}

function isAnswer(result: Answer | Again | LoopEnd): result is Answer {
  return "headers" in result;
}

function reportOutcome({ attempts, report }: Loop, outcome: string): void {
  report({ kind: "outcome", attempt: attempts, outcome });
}

async function sendOnce(loop: Loop): Promise<Answer | Again | LoopEnd> {
  const { request, key, policy, signal, isCheck = false, keepsBody } = loop;
  loop.attempts += 1;
  loop.report({ kind: "attempt", attempt: loop.attempts });
  try {
    return await loop.send(request, key, {
      timeoutMs: Math.min(policy.attemptTimeoutMs, leftMs(loop)),
      signal,
      onSent() {
        // In this order: what asks for the time also notices that the user has changed.
        if (leftMs(loop) === 0 || signal?.aborted) throw new Error("too late");
        loop.isSent = true;
      },
      mayOutlive: !loop.hasFailed,
      isCheck,
      keepsBody,
    });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    reportOutcome(loop, `no answer (${reason})`);
    if (cause instanceof HookError) return endWithout(loop, reason, cause.cause);
    loop.hasFailed = true;
    loop.isUnresolved ||= loop.isSent;
    if (loop.isSent && !signal?.aborted) warnOfOrigin(loop);
    const error = new IdempotencyError(`No answer: ${reason}`, undefined, { key, cause });
    return { kind: "retry", cause: error };
  }
}

// At most half of the time that is left: the device may be wrong, so the client sends in any case.
async function waitForConnection(loop: Loop): Promise<void> {
  const waitMs = Math.min(loop.policy.backoff.capMs, leftMs(loop) / 2);
  loop.report({ kind: "wait", attempt: loop.attempts + 1, reason: "offline", waitMs });
  await pause(waitMs, loop.signal, globalThis);
}

/** Waits for the next attempt, or returns how the loop ends if there is none. */
async function waitOrGiveUp(
  loop: Loop,
  { kind, cause }: Again,
  retries: number,
): Promise<LoopEnd | undefined> {
  const { policy, attempts, polls } = loop;
  const isPoll = kind === "poll";
  // On top of Retry-After, so that clients that failed together do not retry together.
  const jitterMs = fullJitterMs(isPoll ? polls : retries + 1, policy.backoff);
  const waitMs = (cause.retryAfterMs ?? 0) + jitterMs;
  const giveUp = (why: string): LoopEnd => endWithout(loop, why, cause);
  if (!isPoll && retries + 1 >= policy.attempts)
    return giveUp(`No final answer after ${attempts} attempts`);
  const late = `No final answer within ${policy.deadlineMs} ms`;
  if (waitMs >= leftMs(loop)) return giveUp(late);
  if (!isPoll && !loop.budget.take()) return giveUp("The client's retry budget is used up");
  const reason = isPoll ? "in-flight" : "retry";
  loop.report({ kind: "wait", attempt: attempts + 1, reason, waitMs });
  await pause(waitMs, loop.signal);
  // A machine that slept wakes up here, hours later.
  return leftMs(loop) > 0 ? undefined : giveUp(late);
}

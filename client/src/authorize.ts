/** One attempt, and once more with renewed credentials where they are refused. */
import { IdempotencyError } from "@oncekey/shared";
import { parseBody } from "./classify.ts";
import { noAnswer } from "./ending.ts";
import { withinLimit } from "./limit.ts";
import { leftMs } from "./loop-state.ts";
import type { LoopInput, LoopParts, LoopState } from "./loop-state.ts";
import type { Answer } from "./send.ts";

/** Sends, and where the answer is 401 for the first time in this run, once more as soon as the application has renewed what it has to. */
export async function sendAuthorized(
  parts: LoopParts,
  input: LoopInput,
  state: LoopState,
): Promise<Answer | IdempotencyError> {
  const first = await sendOnce(parts, input, state);
  if (first instanceof IdempotencyError || first.status !== 401) return first;
  if (parts.onUnauthorized === undefined || state.isRenewed) return first;
  state.isRenewed = true;
  const { warn, onUnauthorized } = parts;
  const refusal = { status: first.status, problem: parseBody(first), key: input.key };
  const limit = { timeoutMs: leftMs(state), signal: input.signal };
  try {
    const isRenewed = await withinLimit(limit, async () => await onUnauthorized(refusal));
    return isRenewed === false ? first : await sendOnce(parts, input, state);
  } catch (cause) {
    if (!input.signal?.aborted) {
      warn({ code: "callback_failed", message: "onUnauthorized failed", cause });
    }
    return first;
  }
}

async function sendOnce(
  { send }: LoopParts,
  { request, key, policy, signal, isCheck = false, report }: LoopInput,
  state: LoopState,
): Promise<Answer | IdempotencyError> {
  state.attempts += 1;
  report({ kind: "attempt", attempt: state.attempts });
  const timeoutMs = Math.min(policy.attemptTimeoutMs, leftMs(state));
  const onSent = (): void => {
    state.isSent = true;
  };
  try {
    return await send(request, key, {
      timeoutMs,
      signal,
      onSent,
      mayOutlive: !state.hasFailed,
      isCheck,
    });
  } catch (cause) {
    state.hasFailed = true;
    return noAnswer(key, cause);
  }
}

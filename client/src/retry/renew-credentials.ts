/** What the application does about a 401, once in a run. */
import { bodyOf } from "../wire/answer.ts";
import { withinLimit } from "../wire/timeout.ts";
import { leftMs } from "./loop-state.ts";
import type { Renew } from "./loop-state.ts";
import type { UnauthorizedHook } from "../options/client-options.ts";
import type { Warn } from "../options/warnings.ts";

export function createRenewal(renewCredentials: UnauthorizedHook, warn: Warn): Renew {
  return async (refusal, { key, signal }, state) => {
    if (state.isRenewed) return false;
    state.isRenewed = true;
    const told = { status: refusal.status, problem: bodyOf(refusal), key };
    try {
      const limit = { timeoutMs: leftMs(state), signal };
      return (await withinLimit(limit, async () => await renewCredentials(told))) !== false;
    } catch (cause) {
      if (!signal?.aborted) {
        warn({ code: "callback_failed", message: "onUnauthorized failed", cause });
      }
      return false;
    }
  };
}

/** Renews credentials after a 401: once in a run, and once for all 401s that arrive together. */
import { bodyOf } from "../wire/answer.ts";
import type { Answer } from "../wire/answer.ts";
import { withinLimit } from "../wire/timeout.ts";
import { leftMs } from "./loop-state.ts";
import type { Renewal } from "./loop-state.ts";
import type { UnauthorizedHook } from "../options/client-options.ts";
import type { Warn } from "../options/warnings.ts";

export function createRenewal(renewCredentials: UnauthorizedHook, warn: Warn): Renewal {
  let renewals = 0;
  let running: Promise<boolean> | undefined;
  const fail = (cause: unknown): false => {
    warn({ code: "callback_failed", message: "onUnauthorized failed", cause });
    return false;
  };
  async function renew(refusal: Answer, key: string): Promise<boolean> {
    try {
      const { status } = refusal;
      if ((await renewCredentials({ status, problem: bodyOf(refusal), key })) === false)
        return false;
    } catch (cause) {
      return fail(cause);
    }
    renewals += 1;
    return true;
  }

  return {
    current: () => renewals,
    async after(refusal, loop, sentUnder) {
      const { key, signal } = loop;
      if (loop.isRenewed) return false;
      loop.isRenewed = true;
      if (sentUnder !== renewals) return true;
      const limit = { timeoutMs: leftMs(loop), signal };
      try {
        return await withinLimit(limit, () => (running ??= renew(refusal, key)));
      } catch (cause) {
        return signal?.aborted ? false : fail(cause);
      } finally {
        // Also after a time-out: the next 401 asks anew.
        running = undefined;
      }
    },
  };
}

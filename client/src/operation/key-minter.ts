/** Keys for operations and calls, by a clock that a server may correct. */
import type { LoopResult } from "../retry/loop-result.ts";
import { EXPOSE_IT } from "../retry/server-warnings.ts";
import { mintKey } from "../options/key.ts";
import type { KeyOption } from "../options/key.ts";
import type { Warn } from "../options/warnings.ts";

export interface Minter {
  mint(): string;
  /**
   * Waits for a request under a new key. If the server refuses it at once with 412 `idempotency_key_expired`, the clock is wrong.
   * The minter corrects it by the reply's `Date` and sends the request once under a second key.
   *
   * @param renew sends under another key; returns `undefined` if that is not possible any more.
   */
  sendFresh(
    sending: Promise<LoopResult>,
    renew: (() => Promise<LoopResult | undefined>) | undefined,
  ): Promise<LoopResult>;
}

/** A clock that is off by less is right: keys are judged by days. */
const TOLERANCE_MS = 60_000;

/** @param option only UUIDv7 carries a time that can be corrected. */
export function createMinter(option: KeyOption, warn: Warn): Minter {
  let offsetMs = 0;

  function isCorrectedBy(result: LoopResult): boolean {
    if (result.kind !== "rejected" || result.error.code !== "idempotency_key_expired") return false;
    const { answer } = result.told;
    if (option !== "v7" || answer === undefined) return false;
    const trueMs = Date.parse(answer.headers.get("date") ?? "") - Date.now();
    if (Number.isNaN(trueMs)) {
      const message = `New keys are refused as too old, and Date cannot be read: ${EXPOSE_IT}`;
      warn({ code: "date_unreadable", message });
      return false;
    }
    if (Math.abs(trueMs - offsetMs) < TOLERANCE_MS) return false;
    offsetMs = trueMs;
    const message = `The clock is off by ${Math.round(-trueMs / 1000)} s; keys use the server's`;
    warn({ code: "clock_wrong", message });
    return true;
  }

  return {
    mint: () => mintKey(option, offsetMs),
    async sendFresh(sending, renew) {
      const first = await sending;
      if (renew === undefined || !isCorrectedBy(first)) return first;
      const second = await renew();
      if (second === undefined) return first;
      const attempts = first.told.attempts + second.told.attempts;
      return { ...second, told: { ...second.told, attempts } };
    },
  };
}

/** The options of strategy `lease`, and of the recovery of its crashed claims. */
import type { OnCrash } from "./on-crash.ts";

/** Options of strategy `lease`. */
export interface LeaseOptions {
  /**
   * Lifetime of a claim that is not renewed, in ms. The plugin renews it three times in that.
   *
   * @range 1_000–600_000
   * @default 30_000 (longer than most pauses of a process)
   */
  readonly durationMs?: number;
  /**
   * Policy for a request whose owner crashed. `'rerun'`: the retry runs the handler again, past its
   * finished steps. `'fail'`: it stays closed with 500 `idempotency_outcome_unknown`. A function
   * finds out and decides. No default: a wrong guess charges twice or not at all.
   */
  readonly onCrash: OnCrash;
}

/** Options of crash recovery. */
export interface RecoverOptions {
  /**
   * Interval between two passes, in ms. After an `onCrash` that did not decide, the next question waits as long, and then twice
   * as long each time, up to an hour.
   *
   * @range 100–86_400_000
   * @default 30_000
   */
  readonly everyMs?: number;
  /**
   * Delay after the end of the lease, in ms, in which only a retry of the caller asks `onCrash`.
   *
   * @range 0–86_400_000
   * @default 60_000
   */
  readonly afterMs?: number;
}

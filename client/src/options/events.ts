/** What a run tells while it is under way: each time something is sent, and each time it waits. */
import type { Warn } from "./warnings.ts";

interface About {
  readonly key: string;
  /** The operation and its instance; none for a plain call. */
  readonly operation?: string;
  readonly instance?: string;
}

/** A request is about to be sent. */
export interface AttemptEvent extends About {
  /** From 1. A poll of an earlier request that still runs has the number of the attempt that found it running. */
  readonly attempt: number;
}

/** Nothing is sent for a while. */
export interface WaitEvent extends About {
  /** `retry`: the last attempt failed. `in-flight`: the first request still runs. `offline`: the device has no connection. */
  readonly reason: "retry" | "in-flight" | "offline";
  /** The attempt that comes after the wait. */
  readonly attempt: number;
  /** Milliseconds, at least 0. Where the device is offline, it may end before. */
  readonly waitMs: number;
  readonly until: Date;
}

/** Who is told. What these functions throw becomes a warning, and never the result. */
export interface EventCallbacks {
  /** Called before a request is sent. Default: nobody is told. */
  readonly onAttempt?: ((event: AttemptEvent) => void) | undefined;
  /** Called before a wait. Default: nobody is told. */
  readonly onWait?: ((event: WaitEvent) => void) | undefined;
}

/** An attempt has ended. */
interface OutcomeEvent extends About {
  readonly attempt: number;
  readonly outcome: string;
}

/** {@link EventCallbacks}, and what only the client's own log hears. */
export interface Listener extends EventCallbacks {
  readonly onOutcome?: (event: OutcomeEvent) => void;
}

/** Logs each attempt with its key, its instance and its outcome. */
export const DEBUG: Listener = {
  onOutcome({ operation = "call", instance = "", attempt, key, outcome }) {
    console.debug(`[oncekey] ${operation} ${instance} attempt ${attempt} key ${key}: ${outcome}`);
  },
};

/** An event as the loop has it. */
export type LoopEvent =
  | { readonly kind: "attempt"; readonly attempt: number }
  | { readonly kind: "outcome"; readonly attempt: number; readonly outcome: string }
  | ({ readonly kind: "wait" } & Pick<WaitEvent, "attempt" | "reason" | "waitMs">);

export type Report = (event: LoopEvent) => void;

/** Makes the function that tells everybody who listens. */
export function createReport(warn: Warn, about: About, listeners: readonly Listener[]): Report {
  return (event) => {
    for (const { onAttempt, onWait, onOutcome } of listeners) {
      guard(warn, () => {
        const { attempt } = event;
        if (event.kind === "attempt") return onAttempt?.({ ...about, attempt });
        if (event.kind === "outcome") return onOutcome?.({ ...about, ...event });
        const { reason, waitMs } = event;
        const until = new Date(Date.now() + waitMs);
        return onWait?.({ ...about, attempt, reason, waitMs, until });
      });
    }
  };
}

/** Calls a function of the application whose failure must cost nothing. */
export function guard(warn: Warn, call: () => void): void {
  try {
    call();
  } catch (cause) {
    warn({ code: "callback_failed", message: "A callback of the application threw", cause });
  }
}

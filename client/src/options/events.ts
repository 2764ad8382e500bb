/** Events of a run: before each attempt and before each wait. */
import type { Warn } from "./warnings.ts";

interface About {
  readonly key: string;
  /** The operation and its instance; none for a plain call. */
  readonly operation?: string;
  readonly instance?: string;
}

/** The event before an attempt. */
export interface AttemptEvent extends About {
  /** From 1. A poll of an earlier request that still runs has the number of the attempt that found it running. */
  readonly attempt: number;
}

/** The event before a wait. */
export interface WaitEvent extends About {
  /** `retry`: the last attempt failed. `in-flight`: the first request still runs. `offline`: the device has no connection. */
  readonly reason: "retry" | "in-flight" | "offline";
  /** The attempt that comes after the wait. */
  readonly attempt: number;
  /** Milliseconds, at least 0. A wait for a connection may end earlier. */
  readonly waitMs: number;
  readonly until: Date;
}

/** Callbacks for the events. An error that they throw becomes a warning and never changes the result. */
export interface EventCallbacks {
  /** Called before each attempt. */
  readonly onAttempt?: ((event: AttemptEvent) => void) | undefined;
  /** Called before each wait. */
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

/** An event of the loop. */
export type LoopEvent =
  | { readonly kind: "attempt"; readonly attempt: number }
  | { readonly kind: "outcome"; readonly attempt: number; readonly outcome: string }
  | ({ readonly kind: "wait" } & Pick<WaitEvent, "attempt" | "reason" | "waitMs">);

export type Report = (event: LoopEvent) => void;

/** Makes the function that notifies all listeners. */
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

/** Calls a function of the application and turns its error into a warning. */
export function guard(warn: Warn, call: () => void): void {
  try {
    call();
  } catch (cause) {
    warn({ code: "callback_failed", message: "A callback of the application threw", cause });
  }
}

/** Warnings of the client. */

/** Why {@link Warning} was given. */
export type WarningCode =
  /**
   * The storage did not do what it was asked: from here on the operation is in memory alone. Or a body could not be
   * sealed or opened: the key is kept, and after a reload its input is needed.
   */
  | "storage_failed"
  /** Something stored under our prefix cannot be read, and is passed over. */
  | "storage_entry_ignored"
  /** A success without the echoed `Idempotency-Key`: the route may not be protected. */
  | "unacknowledged"
  /** An instance was unresolved and its input changed: the message names the member. Not in production. */
  | "input_changed"
  /** A callback of the application threw. */
  | "callback_failed"
  /** The server does not expose `Retry-After` to this origin. Said once. */
  | "retry_after_unreadable"
  /** A request to another origin had no answer: its preflight may not allow our headers (CORS). Given once. */
  | "cross_origin_failed"
  /** The server does not expose `Date` to this origin, and the device's clock may be wrong. Said once. */
  | "date_unreadable"
  /** The device's clock is wrong; new keys are made with the server's. */
  | "clock_wrong";

/** Something that works, but not as well as it was meant to. */
export interface Warning {
  readonly code: WarningCode;
  readonly message: string;
  readonly cause?: unknown;
}

// These concern the set-up and would repeat with every request.
const ONCE: readonly WarningCode[] = [
  "retry_after_unreadable",
  "date_unreadable",
  "cross_origin_failed",
];
// Once for each target or entry.
const ONCE_EACH: readonly WarningCode[] = ["unacknowledged", "storage_entry_ignored"];

export type Warn = (warning: Warning) => void;

/**
 * Makes the function that warns, with `[oncekey]` before each message.
 *
 * @param tell default `console.warn`. Whatever it throws is logged: a warning must not cost the result that it is about.
 */
export function createWarn(tell: Warn | undefined): Warn {
  const said = new Set<string>();
  return ({ code, message: text, ...more }) => {
    const subject = ONCE.includes(code) ? code : ONCE_EACH.includes(code) ? text : undefined;
    if (subject !== undefined && said.has(subject)) return;
    if (subject !== undefined) said.add(subject);
    const message = `[oncekey] ${text}`;
    const warning = { code, message, ...more };
    try {
      if (tell) tell(warning);
      else console.warn(message, warning);
    } catch (error) {
      console.error(error);
    }
  };
}

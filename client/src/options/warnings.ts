/** What the client has to say without failing. */

/** Why {@link Warning} was given. */
export type WarningCode =
  /**
   * The storage did not do what it was asked: from here on the operation is in memory alone. Or, as the message says, a body could not
   * be sealed or opened: the key is kept, and after a reload its input is needed.
   */
  | "storage_failed"
  /** Something stored under our prefix cannot be read, and is passed over. */
  | "storage_entry_ignored"
  /** A success without the echoed `Idempotency-Key`: the route may not be protected. */
  | "unacknowledged"
  /** A callback that was to be told of something threw. */
  | "callback_failed"
  /** The server does not expose `Retry-After` to this origin. Said once. */
  | "retry_after_unreadable"
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

// They say how something is set up, and would say it with every request.
const ONCE: ReadonlySet<WarningCode> = new Set(["retry_after_unreadable", "date_unreadable"]);

export type Warn = (warning: Warning) => void;

/** @param tell default `console.warn`. Whatever it throws is logged: a warning must not cost the result that it is about. */
export function createWarn(tell: Warn | undefined): Warn {
  const said = new Set<WarningCode>();
  return (warning) => {
    if (ONCE.has(warning.code) && said.has(warning.code)) return;
    said.add(warning.code);
    try {
      (tell ?? console.warn)(warning);
    } catch (error) {
      console.error(error);
    }
  };
}

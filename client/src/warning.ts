/** What the client has to say without failing. */

/** Why {@link Warning} was given. */
export type WarningCode =
  | "storage_failed"
  | "storage_entry_ignored"
  | "unacknowledged"
  | "callback_failed"
  | "retry_after_unreadable"
  | "date_unreadable"
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

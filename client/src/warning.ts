/** What the client has to say without failing. */

/** Why {@link Warning} was given. */
export type WarningCode =
  | "storage_failed"
  | "storage_entry_ignored"
  | "unacknowledged"
  | "callback_failed";

/** Something that works, but not as well as it was meant to. */
export interface Warning {
  readonly code: WarningCode;
  readonly message: string;
  readonly cause?: unknown;
}

export type Warn = (warning: Warning) => void;

/** @param tell default `console.warn`. Whatever it throws is logged: a warning must not cost the result that it is about. */
export function createWarn(tell: Warn | undefined): Warn {
  return (warning) => {
    try {
      (tell ?? console.warn)(warning);
    } catch (error) {
      console.error(error);
    }
  };
}

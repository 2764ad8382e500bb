/** What the client has to say without failing. */

/** Why {@link Warning} was given. */
export type WarningCode = "storage_failed" | "storage_entry_ignored" | "unacknowledged";

/** Something that works, but not as well as it was meant to. */
export interface Warning {
  readonly code: WarningCode;
  readonly message: string;
  readonly cause?: unknown;
}

export type Warn = (warning: Warning) => void;

export type Members = Readonly<Record<string, unknown>>;

/** Whether a value that may be anything can be asked for its members. */
export function isMembers(value: unknown): value is Members {
  return typeof value === "object" && value !== null;
}

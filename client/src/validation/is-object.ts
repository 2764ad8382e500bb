export type Members = Readonly<Record<string, unknown>>;

/** Whether a value of any type has members. */
export function isMembers(value: unknown): value is Members {
  return typeof value === "object" && value !== null;
}

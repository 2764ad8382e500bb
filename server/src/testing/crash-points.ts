/** The moments of a protected request at which a process may die, in their order. */

/**
 * `claimed`: the key is claimed, and the handler has not begun. `handled`: it has answered, and nothing is stored. `commit-sent`: the
 * response was sent to the database with its COMMIT, and no answer has come. `stored`: it is committed, and nothing was sent to
 * the caller. `half-sent`: the caller has the first half of it.
 */
export type CrashPoint = "claimed" | "handled" | "commit-sent" | "stored" | "half-sent";

/** Every {@link CrashPoint}, from the earliest to the latest. */
export const CRASH_POINTS: readonly CrashPoint[] = Object.freeze([
  "claimed",
  "handled",
  "commit-sent",
  "stored",
  "half-sent",
]);

/** The environment variable that names the point at which a server under test is to die. */
export const CRASH_AT = "ONCEKEY_CRASH_AT";

/**
 * Exit codes of the command. `fine`: done. `wrong`: a negative result, such as a failed check or a missing record. `usage`: the
 * command line cannot be carried out. `database`: the database did not answer.
 */
export const EXIT: Readonly<Record<"fine" | "wrong" | "usage" | "database", number>> =
  Object.freeze({ fine: 0, wrong: 1, usage: 2, database: 3 });

/** A command line that parses and still cannot be carried out. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** The database could not be asked, or refused. */
export class DatabaseFailure extends Error {
  override name = "DatabaseFailure";
}

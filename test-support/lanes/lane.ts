/** Selects the part of the tests that a run executes. `ONCEKEY_LANE` names it; without it, every test file runs. */

/**
 * `unit`: files that start neither a database nor a browser nor any other process. `database`: files that use Postgres.
 * `deep`: files that explore, at their full numbers.
 */
export type Lane = "unit" | "database" | "deep";

const LANES: readonly Lane[] = ["unit", "database", "deep"];

/** The lane of this run. `undefined`: every test file, and explorations with their small numbers. */
export const lane: Lane | undefined = readLane(process.env["ONCEKEY_LANE"]);

/** @throws RangeError if there is no lane of that name. */
export function readLane(asked: string | undefined): Lane | undefined {
  if (asked === undefined || asked === "") return undefined;
  const found = LANES.find((one) => one === asked);
  if (found === undefined)
    throw new RangeError(`ONCEKEY_LANE must be one of ${LANES.join(", ")} or unset, got ${asked}`);
  return found;
}

/** A bug that is planted into a copy of the sources, and the run that has to catch it. */

/** Replacement of a line: the line occurs exactly once, or the mutant is out of date. */
export interface Edit {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/**
 * Kind of a hunt, by what it makes likely: `race` duplicates, `commit` broken COMMITs, and so on.
 * The runs are in `hunts.ts`.
 */
export type HuntName =
  | "race"
  | "abandoned"
  | "days"
  | "goingDays"
  | "few"
  | "expiry"
  | "crowd"
  | "shares"
  | "lone"
  | "beats"
  | "slowLeases"
  | "strangers"
  | "mismatch"
  | "zombie"
  | "keyless"
  | "hangUps"
  | "steps"
  | "masks"
  | "commit"
  | "terminate"
  | "refusals"
  | "leftRows"
  | "lease";

export interface Mutant {
  readonly name: string;
  readonly what: string;
  readonly edits: readonly Edit[];
  readonly hunt: HuntName;
}

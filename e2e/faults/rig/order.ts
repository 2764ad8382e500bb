/** What a client asks of the rig's shop, and the headers by which the rig knows its requests. */

/**
 * What the handler does. `charge`: an effect, 201. `decline`: 402, no effect. `refuse`: an effect that is rolled back by a thrown
 * 404. All others come to nothing most of the time, and to `charge` in the end: `busy` answers 429, `break` throws after its
 * effect, `deadlock` and `serialize` have Postgres refuse a statement, and `swallow` ignores such a refusal and answers 201. A lease
 * has no statement that could be refused: there these four break after their call to the outside.
 */
export type Deed =
  | "charge"
  | "decline"
  | "refuse"
  | "busy"
  | "break"
  | "deadlock"
  | "serialize"
  | "swallow";

export interface Order {
  readonly deed: Deed;
  readonly amount: number;
  /** How long the handler takes, in milliseconds. */
  readonly workMs: number;
}

/** Who asks: the rig's stand-in for a sign-in. */
export const SCOPE_HEADER = "rig-scope";
export const OPERATION_HEADER = "rig-operation";
export const FINGERPRINT_HEADER = "rig-fingerprint";
/** Seed of all that chance decides about this attempt in the handler. */
export const CHANCE_HEADER = "rig-chance";

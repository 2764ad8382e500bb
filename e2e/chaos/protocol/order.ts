/** Orders of a client. */

/**
 * Deed of the handler. `charge`: an effect, 201. `decline`: 402, no effect. `refuse`: an effect
 * that is rolled back by a thrown
 * 404. All others fail most of the time, and end as `charge`: `busy` answers 429, `break` throws
 * after its effect, `deadlock` and `serialize` have Postgres refuse a statement, and `swallow`
 * ignores such a refusal and answers 201. `hang` never ends a statement, and `stall` a reply
 * stream. A lease has no statement that could be refused or hang: there these five break after
 * their call to the outside. `mask` answers 200 for a failure, as GraphQL does, and has its writes
 * rolled back.
 */
export type Deed =
  | "charge"
  | "decline"
  | "refuse"
  | "busy"
  | "break"
  | "deadlock"
  | "serialize"
  | "swallow"
  | "hang"
  | "stall"
  | "mask";

export interface Order {
  readonly deed: Deed;
  readonly amount: number;
  /** Duration of the handler, in ms. */
  readonly workMs: number;
}

/** Seed of all that chance decides about this attempt in the handler. */
export const CHANCE_HEADER = "rig-chance";

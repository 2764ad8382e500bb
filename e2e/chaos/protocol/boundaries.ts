/** The nine moments of a request at which something may happen to its server. */

export const BOUNDARIES = [
  { name: "S0", what: "nothing claimed" },
  { name: "S1", what: "claimed" },
  { name: "S2", what: "handler before writes" },
  { name: "S3", what: "writes or external call done" },
  { name: "S4", what: "response built" },
  { name: "S5", what: "store issued, not sent" },
  { name: "S6", what: "COMMIT sent" },
  { name: "S7", what: "committed, nothing sent to the client" },
  { name: "S8", what: "response partly sent" },
] as const;

export type Boundary = (typeof BOUNDARIES)[number]["name"];

/** At which boundary the next request of a strategy is to stop its server. */
export interface Trap {
  readonly boundary: Boundary;
  readonly strategy: string;
}

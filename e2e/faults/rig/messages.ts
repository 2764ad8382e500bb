/** What the rig and one of its servers say to each other. */
import type { ServerReport } from "@oncekey/test-support/processes/report-port";
import type { Trap } from "./boundaries.ts";

export type ToServer =
  | { readonly kind: "trap"; readonly trap: Trap | undefined }
  | { readonly kind: "inspect" };

export type FromServer =
  | ServerReport
  | { readonly kind: "inspected"; readonly inspection: Inspection };

/** What a server finds in itself. */
export interface Inspection {
  readonly checkedOut: number;
  readonly waiting: number;
  /** Pools that the application has ended, and that do not end. */
  readonly unendedPools: number;
  /** Leases said to be lost whose claim had ended before: somebody still renewed them. */
  readonly lostAfterEnd: number;
  readonly residentBytes: number;
  /** Timers, sockets, files and whatever else keeps a process alive. */
  readonly handles: number;
}

/** Everything a server is told through its environment. */
export const ENVIRONMENT = {
  database: "ONCEKEY_RIG_DATABASE",
  outside: "ONCEKEY_RIG_OUTSIDE",
  name: "ONCEKEY_RIG_NAME",
  clock: "ONCEKEY_RIG_CLOCK_MS",
  pipeline: "ONCEKEY_RIG_PIPELINE",
} as const;

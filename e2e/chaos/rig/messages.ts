/** Messages between the rig and one of its servers. */
import type { ServerReport } from "@oncekey/test-support/processes/report-port";
import type { Trap } from "./boundaries.ts";

export type ToServer =
  | { readonly kind: "trap"; readonly trap: Trap | undefined }
  | { readonly kind: "inspect" };

export type FromServer =
  | ServerReport
  | { readonly kind: "inspected"; readonly inspection: Inspection };

/** A server's report on its own resources. */
export interface Inspection {
  readonly checkedOut: number;
  readonly waiting: number;
  /** Pools that the application has ended, and that do not end. */
  readonly unendedPools: number;
  /**
   * Leases that were reported as lost after the end of their claim: a heartbeat still renewed them.
   */
  readonly lostAfterEnd: number;
  readonly residentBytes: number;
  /** Timers, sockets, files and whatever else keeps a process alive. */
  readonly handles: number;
}

/** Settings of a server in its environment. */
export const ENVIRONMENT = {
  database: "ONCEKEY_RIG_DATABASE",
  outside: "ONCEKEY_RIG_OUTSIDE",
  name: "ONCEKEY_RIG_NAME",
  clock: "ONCEKEY_RIG_CLOCK_MS",
  pipeline: "ONCEKEY_RIG_PIPELINE",
} as const;

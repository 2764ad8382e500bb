/** Messages between the rig and one of its servers. */
import type { ServerReport } from "@oncekey/test-support/processes/report-port";
import type { Trap } from "./boundaries.ts";

export type ToServer =
  | { readonly kind: "trap"; readonly trap: Trap | undefined }
  | { readonly kind: "gate"; readonly isClosed: boolean }
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
  /** Listeners on connections of the pool beyond those of an idle connection. */
  readonly listenersLeft: number;
  readonly residentBytes: number;
  /** Timers, sockets, files and whatever else keeps a process alive. */
  readonly handles: number;
}

/** Secret of the digests of keys in all servers, so that the rig recognises their keys. */
export const DIGEST_SECRET = "the rig joins the events of its servers by this secret";

/** Settings of a server in its environment. */
export const ENVIRONMENT = {
  database: "ONCEKEY_RIG_DATABASE",
  outside: "ONCEKEY_RIG_OUTSIDE",
  name: "ONCEKEY_RIG_NAME",
  clock: "ONCEKEY_RIG_CLOCK_MS",
  pipeline: "ONCEKEY_RIG_PIPELINE",
  maxHandler: "ONCEKEY_RIG_MAX_HANDLER_MS",
  /** The folder for the servers' warnings, with the cause of each 503. Read from the environment of the rig. */
  logs: "ONCEKEY_RIG_LOGS",
} as const;

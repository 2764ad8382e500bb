/** Interface of both ways to pay. */
import type { Fault } from "../../fault-proxy/fault.ts";
import type { Order } from "../../shop/wire.ts";
import type { Said } from "./status.ts";

/** Pays an order with the faults in turn, and returns the outcome. Never throws. */
export type Till = (order: Order, faults: readonly Fault[]) => Promise<Said>;

/** The shop, through the fault proxy. */
export const BASE_URL = "/api/";

declare global {
  // Set by tests, in which no attempt may end because the machine is busy.
  var attemptTimeoutMs: number | undefined;
}

/** For one attempt, both ways: shorter than what `Delay` delays, long enough to reload the page in. */
export const TIMEOUT_MS: number = globalThis.attemptTimeoutMs ?? 2_500;

/** What both ways to pay have in common. */
import type { Fault } from "../../faults/fault.ts";
import type { Order } from "../wire.ts";
import type { Said } from "./status.ts";

/** Pays an order, its attempts meeting the faults in turn, and says how it went. Never throws. */
export type Till = (order: Order, faults: readonly Fault[]) => Promise<Said>;

/** The shop, through the fault proxy. */
export const BASE_URL = "/api/";

/** For one attempt, both ways: shorter than what `Delay` delays, long enough to reload the page in. */
export const TIMEOUT_MS = 2_500;

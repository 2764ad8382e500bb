/** Pays with Oncekey: all the code that a shop's front end needs. */
import { createClient, memoryStorage } from "@oncekey/client";
import type { Client, Operation, OperationStorage } from "@oncekey/client";
import type { Order, Receipt } from "../shop/wire.ts";

export interface OncekeyShopOptions {
  /** Absolute, or relative to the page; ends in a slash. */
  readonly baseUrl: string;
  readonly fetch: typeof fetch;
  readonly timeoutMs: number;
  /** `@default 6` */
  readonly attempts?: number | undefined;
  /** Default: `memoryStorage()`. */
  readonly storage?: OperationStorage;
}

export interface OncekeyShop {
  readonly client: Client;
  readonly placeOrder: Operation<Order, Receipt | undefined>;
}

/** Six attempts, so that each of the five faults can have one and the last can succeed. */
const ATTEMPTS = 6;
/** Most attempts fail on purpose here, which the default budget would take for an outage. */
const RETRY_BUDGET = 1_000;

export function createOncekeyShop({
  baseUrl: prefix,
  fetch,
  timeoutMs,
  attempts = ATTEMPTS,
  storage = memoryStorage(),
}: OncekeyShopOptions): OncekeyShop {
  const client = createClient({
    ky: { prefix, fetch },
    storage,
    attempts,
    retryBudget: RETRY_BUDGET,
    attemptTimeoutMs: timeoutMs,
    backoff: { baseMs: 400, capMs: 1_000 },
  });
  const placeOrder = client.operation<Order, Receipt>("place-order", {
    request: (order) => ({ method: "POST", path: "orders", json: order }),
    instance: (order) => order.cart,
  });
  return { client, placeOrder };
}

/** Pay as people write it by hand: each press is on its own, and so is each try. */
import type { Fault } from "../../fault-proxy/fault.ts";
import { createAttemptFetch } from "../attempts.ts";
import { payByHand } from "../pay-by-hand.ts";
import type { Order } from "../../shop/wire.ts";
import type { Payments } from "./payments.ts";
import { declined, paid } from "./status.ts";
import type { Said } from "./status.ts";
import { BASE_URL, TIMEOUT_MS } from "./till.ts";
import type { Till } from "./till.ts";

export function createPlainTill(payments: Payments): Till {
  return async (order: Order, faults: readonly Fault[]): Promise<Said> => {
    const ahead = [...faults];
    const { record } = payments.begin({
      title: "Pay, plain client",
      via: "plain",
      cart: order.cart,
    });
    const fetch = createAttemptFetch({ nextFault: () => ahead.shift(), record });
    const result = await payByHand(order, { baseUrl: BASE_URL, timeoutMs: TIMEOUT_MS, fetch });
    switch (result.kind) {
      case "paid":
        return paid(result.receipt);
      case "declined":
        return declined();
      case "failed":
        return { kind: "failed", text: "The payment failed. Please try again." };
      default:
        return result satisfies never;
    }
  };
}

/** Pay with Oncekey: presses, tries and reloads of one cart are one payment. */
import { webStorage } from "@oncekey/client";
import type { RunResult } from "@oncekey/client";
import type { Fault } from "../../fault-proxy/fault.ts";
import { createAttemptFetch } from "../attempts.ts";
import { createOncekeyShop } from "../pay-with-oncekey.ts";
import type { Receipt } from "../../shop/wire.ts";
import type { OpenPayment, Payments } from "./payments.ts";
import { declined, paid, say } from "./status.ts";
import type { Said } from "./status.ts";
import { BASE_URL, TIMEOUT_MS } from "./till.ts";
import type { Till } from "./till.ts";

export interface OncekeyTill {
  readonly pay: Till;
  /** Settles the unfinished operations of an earlier visit, and reports each cart's outcome. */
  readonly settle: (onSettled: (cart: string, said: Said) => void) => Promise<void>;
}

export function createOncekeyTill(payments: Payments): OncekeyTill {
  const ahead: Fault[] = [];
  const running = new Map<string, OpenPayment>();
  let open: OpenPayment | undefined;
  const { client, placeOrder } = createOncekeyShop({
    baseUrl: BASE_URL,
    timeoutMs: TIMEOUT_MS,
    storage: webStorage(),
    fetch: createAttemptFetch({
      nextFault: () => ahead.shift(),
      record: (attempt) => open?.record(attempt) ?? (() => undefined),
    }),
  });
  const begin = (cart: string, title: string): void => {
    open = payments.begin({ title, via: "oncekey", cart });
    running.set(cart, open);
  };
  const end = (cart: string, result: RunResult<Receipt | undefined>): Said => {
    running.delete(cart);
    return saidOf(result);
  };

  return {
    async pay(order, faults) {
      const same = running.get(order.cart);
      if (same === undefined) {
        begin(order.cart, "Pay, with Oncekey");
        ahead.splice(0, ahead.length, ...faults);
      } else {
        same.note("Pay was pressed again. It is the same payment, so nothing more was sent.");
      }
      return end(order.cart, await placeOrder.run(order));
    },
    async settle(onSettled) {
      for (const pending of await client.pending()) {
        const { instance: cart } = pending;
        say({ kind: "busy", text: "An unfinished payment from before is being settled …" });
        begin(cart, "Found unfinished, settled by itself");
        running.get(cart)?.note(FOUND);
        const said = end(cart, (await pending.resume()) as RunResult<Receipt | undefined>);
        onSettled(cart, { ...said, text: `There was an unfinished payment. ${said.text}` });
      }
    },
  };
}

const FOUND =
  "The page came back to a payment without an answer, and asked again with the same key.";

const EARLIER =
  "This cart was sent before, as it was then, and the shop knows it. Put it back and press Pay to see.";

function saidOf(result: RunResult<Receipt | undefined>): Said {
  switch (result.kind) {
    case "done":
      return paid(result.value);
    case "rejected":
      if (result.error.code === "earlier_operation_exists") {
        return { kind: "failed", text: EARLIER };
      }
      return result.error.status === 402
        ? declined()
        : { kind: "failed", text: `The shop refused: ${result.error.message}.` };
    case "unknown":
      return {
        kind: "failed",
        text: "Not known yet. The payment is kept: press Pay again, or reload, and it goes on.",
      };
    default:
      return result satisfies never;
  }
}

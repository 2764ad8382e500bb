/** The shop's page in the story of the docs. Everything that it logs is quoted there. */
import { createClient, webStorage } from "@oncekey/client";
import { FAULT_HEADER } from "../../fault-proxy/fault.ts";
import type { Order, Receipt } from "../../shop/wire.ts";

const fault = new URLSearchParams(location.search).get("fault");
const headers = fault === null ? {} : { [FAULT_HEADER]: fault };

const shop = createClient({
  ky: { prefix: "/api", headers },
  storage: webStorage(),
  debug: true,
  backoff: { baseMs: 10_000, capMs: 10_000 },
  onWait: ({ reason }) => console.log(`waiting (${reason}), the key stays the same`),
});
const placeOrder = shop.operation<Order, Receipt>("place-order", {
  request: (order) => ({ path: "orders", json: order }),
  instance: (order) => order.cart,
});

async function pay(): Promise<void> {
  const result = await placeOrder.run({ cart: "cart-7", amountCents: 47_00 });
  if (result.kind !== "done") console.log(result.kind, result.error.code);
  else console.log(`done: order ${result.value?.order}, replayed: ${result.replayed}`);
}

async function start(): Promise<void> {
  const pending = await shop.pending();
  console.log(`unresolved operations: ${pending.length}`);
  await shop.resumeAll();
}

Object.assign(globalThis, { pay, start });

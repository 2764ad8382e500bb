/** A page for tests: components that pay in an effect and abort in its clean-up, in StrictMode. */
import { createClient, webStorage } from "@oncekey/client";
import { useOperation } from "@oncekey/client/react";
import { StrictMode, useEffect, useState } from "react";
import type { ReactNode } from "react";
import { createRoot } from "react-dom/client";
import type { Order, Receipt } from "../../shop/wire.ts";

const shop = createClient({ ky: { prefix: "/api" }, storage: webStorage() });
const placeOrder = shop.operation<Order, Receipt>("place-order", {
  request: (json) => ({ path: "orders", json }),
  instance: ({ cart }) => cart,
});
const order: Order = { cart: crypto.randomUUID(), amountCents: 42_50 };
let effects = 0;

function PayAtOnce(): ReactNode {
  const { state, run } = useOperation(placeOrder, order);
  useEffect(() => {
    effects += 1;
    document.body.dataset["effects"] = String(effects);
    const controller = new AbortController();
    void run({ signal: controller.signal });
    return () => controller.abort();
  }, [run]);
  return <p role="status">{state.kind === "settled" ? state.result.kind : state.kind}</p>;
}

function Checkout(): ReactNode {
  const [isBoth, setBoth] = useState(true);
  return (
    <>
      <PayAtOnce />
      {isBoth ? <PayAtOnce /> : null}
      <button onClick={() => setBoth(false)}>Unmount one</button>
    </>
  );
}

const root = document.getElementById("root");
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <Checkout />
    </StrictMode>,
  );
}

/** The checkout in React. */
import type { OperationState } from "@oncekey/client";
import { useOperation } from "@oncekey/client/react";
import { StrictMode } from "react";
import type { ReactNode } from "react";
import { createRoot } from "react-dom/client";
import type { Receipt } from "../../shop/wire.ts";
import { find } from "./element.ts";
import { SmallCheckout } from "./small-checkout.tsx";
import { createSmallShop, textOf } from "./small-shop.ts";

const shop = createSmallShop();

function Checkout(): ReactNode {
  const { state, run } = useOperation(shop.placeOrder, shop.order);
  const isBusy = !["idle", "settled", "unknown"].includes(state.kind);
  const status = say(state);
  return <SmallCheckout shop={shop} isBusy={isBusy} status={status} onPay={() => void run()} />;
}

function say(state: OperationState<Receipt | undefined>): string {
  switch (state.kind) {
    case "idle":
      return "Press it twice, if you like.";
    case "sending":
      return "Paying …";
    case "retrying":
      return `Attempt ${state.attempt} …`;
    case "checking":
      return "Asking what came of it …";
    case "settled":
    case "unknown":
      return textOf(state.result);
    default:
      return state satisfies never;
  }
}

createRoot(find("root", HTMLElement)).render(
  <StrictMode>
    <Checkout />
  </StrictMode>,
);

// Resumes what a reload left unfinished; the component shows it at once.
void shop.client.resumeAll();

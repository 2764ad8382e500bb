/** The checkout with TanStack Query. */
import { operationMutationOptions } from "@oncekey/client/tanstack-query";
import { QueryClient, QueryClientProvider, useMutation } from "@tanstack/react-query";
import { StrictMode } from "react";
import type { ReactNode } from "react";
import { createRoot } from "react-dom/client";
import { find } from "./element.ts";
import { SmallCheckout } from "./small-checkout.tsx";
import { createSmallShop } from "./small-shop.ts";
import { paid } from "./status.ts";

const shop = createSmallShop();

function Checkout(): ReactNode {
  const { mutate, data, error, isPending } = useMutation(operationMutationOptions(shop.placeOrder));
  const idle = "Press it twice, if you like.";
  const ended = data === undefined ? (error?.message ?? idle) : paid(data).text;
  return (
    <SmallCheckout
      shop={shop}
      isBusy={isPending}
      status={isPending ? "Paying …" : ended}
      onPay={() => mutate(shop.order)}
    />
  );
}

createRoot(find("root", HTMLElement)).render(
  <StrictMode>
    <QueryClientProvider client={new QueryClient()}>
      <Checkout />
    </QueryClientProvider>
  </StrictMode>,
);

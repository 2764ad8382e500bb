import { createContainer } from "../support/dom.ts";
import { operationMutationOptions } from "@oncekey/client/tanstack-query";
import { QueryClient, QueryClientProvider, useMutation } from "@tanstack/react-query";
import type { UseMutationResult } from "@tanstack/react-query";
import { act, createElement } from "react";
import type { ReactNode } from "react";
import { createRoot } from "react-dom/client";
import { expect, it } from "vitest";
import { createHeld } from "../support/held.ts";
import { withServer } from "../support/server.ts";
import { cart, createShop } from "../support/shop.ts";
import type { Cart } from "../support/shop.ts";

it("useMutation places one order for a double click and has its value", async () => {
  const held = createHeld();
  await withServer([held.reply], async ({ url, seen }) => {
    const { order } = createShop(url);
    let used: UseMutationResult<{ id: number } | undefined, Error, Cart> | undefined;
    function Checkout(): ReactNode {
      used = useMutation(operationMutationOptions(order));
      return `${used.status} ${used.data?.id ?? ""}`;
    }
    const container = createContainer();
    const root = createRoot(container);
    const client = new QueryClient();
    const page = createElement(QueryClientProvider, { client }, createElement(Checkout));
    await act(async () => root.render(page));
    await act(async () => {
      used?.mutate(cart);
      used?.mutate(cart);
      await held.arrived;
    });
    expect(container.textContent).toBe("pending ");
    held.go();
    // The library notifies its components on a timer.
    const shown = async (): Promise<string | null> => {
      await act(async () => undefined);
      return container.textContent;
    };
    await expect.poll(shown).toBe("success 1");
    expect(seen).toHaveLength(1);
    await act(async () => root.unmount());
  });
});

import { createContainer } from "../support/dom.ts";
import { act, createElement, version } from "react";
import { hydrateRoot } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { expect, it, vi } from "vitest";
import { Checkout, createShown } from "../support/component.ts";
import { done, withServer } from "../support/server.ts";
import { cart, createShop } from "../support/shop.ts";

it(`React ${version} hydrates from idle to the current state if the operation ran in between`, async () => {
  await withServer([done], async ({ url }) => {
    const { order: operation } = createShop(url);
    const shown = createShown();
    const page = createElement(Checkout, { operation, cart, shown });
    const container = createContainer();
    container.innerHTML = renderToString(page);
    expect(container.textContent).toBe("idle");
    await operation.run(cart);
    expect(renderToString(page), "on a server, whatever ran").toBe("<p>idle</p>");
    const error = vi.spyOn(console, "error");
    const root = await act(async () => hydrateRoot(container, page));
    expect(container.textContent).toBe("settled");
    expect(error.mock.calls, "no mismatch").toEqual([]);
    await act(async () => root.unmount());
  });
});

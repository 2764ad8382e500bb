import { memoryStorage } from "@oncekey/client";
import { useOperation } from "@oncekey/client/react";
import { mount } from "../support/component.ts";
import type { Mounted } from "../support/component.ts";
import { act, createElement, version } from "react";
import type { ReactNode } from "react";
import { afterEach, describe, expect, it } from "vitest";
import { done, json, reset, withServer } from "../support/server.ts";
import { cart, createShop } from "../support/shop.ts";
import type { Cart, TestShop } from "../support/shop.ts";

/** The component of the guide: one button, whatever the state. */
function createPay({ order }: TestShop) {
  let press: (() => Promise<unknown>) | undefined;
  function Pay({ input }: { readonly input: Cart | undefined }): ReactNode {
    const { state, run, reset: clear } = useOperation(order, input);
    const button = (text: string, onClick: () => Promise<unknown>) => {
      press = onClick;
      return createElement("button", null, text);
    };
    switch (state.kind) {
      case "idle":
        return button("Pay", () => run());
      case "settled":
        if (state.result.kind === "rejected") return button("Pay again", () => run());
        return button("Order again", async () => {
          clear();
          await run({ again: true });
        });
      case "unknown":
        return state.result.canResume
          ? button("Ask again", () => state.result.resume())
          : button("Give up", () => state.result.forget());
      case "sending":
      case "retrying":
      case "checking":
        return "One moment";
      default:
        return state satisfies never;
    }
  }
  return {
    show: (input: Cart | undefined) => createElement(Pay, { input }),
    press: () => act(async () => press?.()),
  };
}

const open: Mounted[] = [];
afterEach(async () => {
  for (const page of open.splice(0)) await page.unmount();
});
async function openPage(node: ReactNode): Promise<Mounted> {
  const page = await mount(node);
  open.push(page);
  return page;
}

describe(`a checkout in React ${version}`, () => {
  it("has a Pay button for a changed cart of the same instance after the first is paid", async () => {
    await withServer([done, json(201, { id: 2 })], async ({ url, seen }) => {
      const { show, press } = createPay(createShop(url));
      const page = await openPage(show(cart));
      await press();
      expect(page.text()).toBe("Order again");
      await page.render(show({ ...cart, lines: ["apple", "pear"] }));
      expect(page.text()).toBe("Pay");
      await page.render(show(cart));
      expect(page.text()).toBe("Order again");
      await page.render(show({ ...cart, lines: ["apple", "pear"] }));
      await press();
      expect(page.text()).toBe("Order again");
      expect(new Set(seen.map(({ key }) => key)).size).toBe(2);
    });
  });

  it("orders the same again under a new key when the shopper asks for it", async () => {
    await withServer([done, json(201, { id: 2 })], async ({ url, seen }) => {
      const { show, press } = createPay(createShop(url));
      const page = await openPage(show(cart));
      await press();
      await press();
      expect(page.text()).toBe("Order again");
      expect(new Set(seen.map(({ key }) => key)).size).toBe(2);
    });
  });

  it("resumes an unknown payment, and gives up one that is too old to be sent", async () => {
    await withServer([reset, done], async ({ url, seen }) => {
      const storage = memoryStorage();
      const options = { storage, attempts: 1 };
      await createShop(url, options).order.run(cart);
      const old = createShop(url, { ...options, assumedLifetimeMs: 1 });
      const { show, press } = createPay(old);
      const page = await openPage(show(cart));
      await press();
      expect([page.text(), seen.length]).toEqual(["Give up", 1]);
      await press();
      expect(page.text()).toBe("Pay");
      expect(await old.client.pending()).toEqual([]);
    });
  });

  it("starts idle after shop.reset(), so that no state leaks into the next test", async () => {
    await withServer([done, json(201, { id: 2 })], async ({ url, seen }) => {
      const shop = createShop(url);
      const { show, press } = createPay(shop);
      const page = await openPage(show(cart));
      await press();
      expect(page.text()).toBe("Order again");
      await act(async () => shop.client.reset());
      expect(page.text()).toBe("Pay");
      await press();
      expect(new Set(seen.map(({ key }) => key)).size).toBe(2);
    });
  });
});

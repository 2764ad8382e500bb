import { useOperation } from "@oncekey/client/react";
import { mount } from "../support/component.ts";
import { act, createElement, useEffect, version } from "react";
import type { ReactNode } from "react";
import { describe, expect, it } from "vitest";
import { createHeld } from "../support/held.ts";
import { done, withServer } from "../support/server.ts";
import { cart, createShop } from "../support/shop.ts";
import type { Cart, TestShop } from "../support/shop.ts";

/** Pays when it mounts, and aborts in the clean-up of its effect. */
function createPayAtOnce({ order }: TestShop) {
  const runs: Promise<unknown>[] = [];
  function PayAtOnce({ input }: { readonly input: Cart }): ReactNode {
    const { state, run } = useOperation(order, input);
    useEffect(() => {
      const controller = new AbortController();
      runs.push(run({ signal: controller.signal }));
      return () => controller.abort("unmounted");
    }, [run]);
    return createElement("p", null, state.kind);
  }
  return { PayAtOnce, runs };
}

describe(`an abort in the clean-up of an effect in React ${version}`, () => {
  it("sends the order once in StrictMode, which cleans up and mounts again", async () => {
    await withServer([done], async ({ url, seen }) => {
      const { PayAtOnce, runs } = createPayAtOnce(createShop(url));
      const page = await mount(createElement(PayAtOnce, { input: cart }));
      await act(async () => Promise.all(runs));
      expect(runs).toHaveLength(2);
      expect(await runs[1]).toMatchObject({ kind: "done" });
      expect([page.text(), seen.length]).toEqual(["settled", 1]);
      await page.unmount();
    });
  });

  it("does not end the payment of another component that joined it", async () => {
    const held = createHeld();
    await withServer([held.reply], async ({ url, seen }) => {
      const { PayAtOnce, runs } = createPayAtOnce(createShop(url));
      const show = (count: number) =>
        Array.from({ length: count }, (_, index) =>
          createElement(PayAtOnce, { input: cart, key: index }),
        );
      const page = await mount(createElement("div", null, show(2)));
      await act(async () => held.arrived);
      await page.render(createElement("div", null, show(1)));
      expect(page.text()).toBe("sending");
      await act(async () => {
        held.go();
        await Promise.all(runs);
      });
      expect(await runs.at(-1)).toMatchObject({ kind: "done" });
      expect([page.text(), seen.length]).toEqual(["settled", 1]);
      await page.unmount();
    });
  });

  it("ends the payment when the last component unmounts, and a later one goes on with its key", async () => {
    const held = createHeld();
    await withServer([held.reply, done], async ({ url, seen }) => {
      const { PayAtOnce, runs } = createPayAtOnce(createShop(url));
      const page = await mount(createElement(PayAtOnce, { input: cart }));
      await act(async () => held.arrived);
      await page.unmount();
      const first = await runs.at(-1);
      expect(first).toMatchObject({ kind: "unknown", error: { cause: "unmounted" } });
      const next = await mount(createElement(PayAtOnce, { input: cart }));
      await act(async () => Promise.all(runs));
      expect(next.text()).toBe("settled");
      expect(new Set(seen.map(({ key }) => key)).size).toBe(1);
      await next.unmount();
    });
  });
});

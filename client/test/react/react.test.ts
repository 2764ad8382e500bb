import { useOperation } from "@oncekey/client/react";
import { act, createElement, Fragment, Suspense, useEffect, version } from "react";
import type { ReactNode } from "react";
import { describe, expect, it } from "vitest";
import { Checkout, createShown, mount } from "../support/component.ts";
import type { Shown } from "../support/component.ts";
import { createHeld } from "../support/held.ts";
import { done, reset, withServer } from "../support/server.ts";
import { cart, createShop } from "../support/shop.ts";

const kinds = ({ states }: Shown): string[] => states.map(({ kind }) => kind);

describe(`useOperation in React ${version}`, () => {
  it("shows the operation from idle to settled, with one request, in StrictMode", async () => {
    await withServer([reset, done], async ({ url, seen }) => {
      const { order: operation } = createShop(url);
      const shown = createShown();
      const page = await mount(createElement(Checkout, { operation, cart, shown }));
      expect(page.text()).toBe("idle");
      const result = await act(async () => shown.used?.run());
      expect(result).toMatchObject({ kind: "done", value: { id: 1 } });
      expect(kinds(shown)[0]).toBe("idle");
      expect(shown.states.at(-1)).toMatchObject({ kind: "settled", result: { value: { id: 1 } } });
      expect(shown.states.at(-1)).toHaveProperty("result", result);
      expect([page.text(), seen.length]).toEqual(["settled", 2]);
      await page.unmount();
    });
  });

  it("keeps running through an unmount, and the next mount shows it sending", async () => {
    const held = createHeld();
    await withServer([held.reply], async ({ url, seen }) => {
      const { order: operation } = createShop(url);
      const [before, after] = [createShown(), createShown()];
      const page = await mount(createElement(Checkout, { operation, cart, shown: before }));
      let first: Promise<unknown> | undefined;
      await act(async () => {
        first = before.used?.run();
        await held.arrived;
      });
      expect(page.text()).toBe("sending");
      await page.unmount();
      const again = await mount(createElement(Checkout, { operation, cart, shown: after }));
      expect(again.text()).toBe("sending");
      await act(async () => {
        const second = after.used?.run();
        expect(second, "a click on the new page joins what runs").toBe(first);
        held.go();
        await second;
      });
      expect([again.text(), seen.length]).toEqual(["settled", 1]);
      await again.unmount();
    });
  });

  it("shows the same state in every component with the same instance", async () => {
    await withServer([done], async ({ url }) => {
      const { order: operation } = createShop(url);
      const other = { ...cart, id: "cart-2" };
      const [a, b, c] = [createShown(), createShown(), createShown()];
      const page = await mount(
        createElement(
          Fragment,
          null,
          createElement(Checkout, { operation, cart, shown: a }),
          createElement(Checkout, { operation, cart: { ...cart }, shown: b }),
          createElement(Checkout, { operation, cart: other, shown: c }),
        ),
      );
      await act(async () => a.used?.run());
      expect(page.text()).toBe("settledsettledidle");
      expect(b.used?.state).toBe(a.used?.state);
      await page.unmount();
    });
  });

  it("follows its input to another instance and back to the settled one", async () => {
    await withServer([done], async ({ url, seen }) => {
      const { order: operation } = createShop(url);
      const shown = createShown();
      const show = (id: string, lines: readonly string[] = cart.lines) =>
        createElement(Checkout, { operation, cart: { id, lines }, shown });
      const page = await mount(show("cart-1"));
      const run = shown.used?.run;
      await act(async () => run?.());
      await page.render(show("cart-2", ["pear"]));
      expect(page.text()).toBe("idle");
      expect(shown.used?.run, "the same function").toBe(run);
      await act(async () => run?.());
      expect(seen.map(({ body }) => body)).toEqual(['{"lines":["apple"]}', '{"lines":["pear"]}']);
      await page.render(show("cart-1"));
      expect(shown.used?.state).toMatchObject({ result: { key: seen[0]?.key } });
      await page.unmount();
    });
  });

  it("keeps its subscription if a render makes an equal input", async () => {
    const { order } = createShop("https://shop.example/");
    let subscriptions = 0;
    const operation: typeof order = {
      ...order,
      observe(input) {
        const store = order.observe(input);
        return {
          ...store,
          subscribe(listener) {
            subscriptions += 1;
            return store.subscribe(listener);
          },
        };
      },
    };
    const show = () =>
      createElement(Checkout, { operation, cart: { ...cart }, shown: createShown() });
    const page = await mount(show());
    const atMount = subscriptions;
    for (let times = 0; times < 3; times += 1) await page.render(show());
    expect(subscriptions).toBe(atMount);
    await page.unmount();
  });

  it("shows the settled state after a neighbour suspended it", async () => {
    const held = createHeld();
    await withServer([held.reply], async ({ url, seen }) => {
      const { order: operation } = createShop(url);
      const shown = createShown();
      const loading = createLoading();
      const show = (isLoading: boolean) =>
        createElement(
          Suspense,
          { fallback: "loading" },
          createElement(Checkout, { operation, cart, shown }),
          isLoading ? createElement(loading.Component) : null,
        );
      const page = await mount(show(false));
      await act(async () => {
        void shown.used?.run();
        await held.arrived;
      });
      await page.render(show(true));
      expect(page.text()).toContain("loading");
      held.go();
      await act(async () => {
        await shown.used?.run();
        loading.finish();
      });
      expect([page.text(), seen.length]).toEqual(["settledloaded", 1]);
      await page.unmount();
    });
  });

  it("sends one request if an effect runs it, which StrictMode does twice", async () => {
    await withServer([done], async ({ url, seen }) => {
      const { order: operation } = createShop(url);
      const shown = createShown();
      const runs: unknown[] = [];
      function PayAtOnce(): ReactNode {
        const { run } = useOperation(operation, cart);
        useEffect(() => void runs.push(run()), [run]);
        return createElement(Checkout, { operation, cart, shown });
      }
      const page = await mount(createElement(PayAtOnce));
      await act(async () => Promise.all(runs));
      expect(runs).toHaveLength(2);
      expect(runs[1]).toBe(runs[0]);
      expect([page.text(), seen.length]).toEqual(["settled", 1]);
      await page.unmount();
    });
  });

  it("follows a run from its first render, even if React threw that render away", async () => {
    const held = createHeld();
    await withServer([held.reply], async ({ url, seen }) => {
      const { order: operation } = createShop(url);
      const shown = createShown();
      const loading = createLoading();
      const Suspending = (): ReactNode =>
        createElement(Fragment, null, Checkout({ operation, cart, shown }), loading.Component());
      const page = await mount(
        createElement(Suspense, { fallback: "loading" }, createElement(Suspending)),
      );
      expect(page.text()).toBe("loading");
      const running = operation.run(cart);
      await held.arrived;
      await act(async () => loading.finish());
      expect(page.text()).toBe("sendingloaded");
      held.go();
      await act(async () => running);
      expect([page.text(), seen.length]).toEqual(["settledloaded", 1]);
      await page.unmount();
    });
  });

  it("shows unknown with resume, and checking while it resumes", async () => {
    const held = createHeld();
    await withServer([reset, held.reply], async ({ url, seen }) => {
      const { order: operation } = createShop(url, { attempts: 1 });
      const shown = createShown();
      const page = await mount(createElement(Checkout, { operation, cart, shown }));
      await act(async () => shown.used?.run());
      const { state } = shown.used ?? {};
      if (state?.kind !== "unknown") throw new Error(`expected unknown, got ${state?.kind}`);
      let resumed: Promise<unknown> | undefined;
      await act(async () => {
        resumed = state.result.resume();
        await held.arrived;
      });
      expect(page.text()).toBe("checking");
      held.go();
      await act(async () => resumed);
      expect(page.text()).toBe("settled");
      expect(seen[1]?.key).toBe(seen[0]?.key);
      await page.unmount();
    });
  });
});

/** Makes a component that suspends until `finish` is called, as all versions of React know it. */
function createLoading(): { readonly Component: () => string; readonly finish: () => void } {
  const loaded = Promise.withResolvers<void>();
  let isLoaded = false;
  return {
    Component() {
      if (!isLoaded) throw loaded.promise;
      return "loaded";
    },
    finish() {
      isLoaded = true;
      loaded.resolve();
    },
  };
}

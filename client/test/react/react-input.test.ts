import { createClient } from "@oncekey/client";
import type { Operation } from "@oncekey/client";
import { useOperation } from "@oncekey/client/react";
import type { UsedOperation } from "@oncekey/client/react";
import { mount } from "../support/component.ts";
import { act, createElement, version } from "react";
import type { ReactNode } from "react";
import { renderToString } from "react-dom/server";
import { describe, expect, it } from "vitest";
import { createHeld } from "../support/held.ts";
import { done, json, reset as lost, withServer } from "../support/server.ts";
import { cart, createShop } from "../support/shop.ts";
import type { Cart } from "../support/shop.ts";

type Used = UsedOperation<unknown>;

/** A component that counts how often the request is built, and how often of it while rendering. */
function createCounted(url: string, request: (input: Cart) => unknown = ({ lines }) => lines) {
  const counts = { built: 0, whileRendering: 0 };
  let isRendering = false;
  let used: Used | undefined;
  const client = createClient({ ky: { prefix: url }, backoff: { baseMs: 1, capMs: 2 } });
  const operation = client.operation("order", {
    request(input: Cart) {
      counts.built += 1;
      if (isRendering) counts.whileRendering += 1;
      return { path: "orders", json: request(input) };
    },
    instance: ({ id }) => id,
  });
  function Pay({ input }: { readonly input: Cart | null | undefined }): ReactNode {
    isRendering = true;
    used = useOperation(operation, input);
    isRendering = false;
    return used.state.kind;
  }
  return {
    counts,
    operation,
    show: (input: Cart | null | undefined) => createElement(Pay, { input }),
    used: (): Used => {
      if (used === undefined) throw new Error("nothing is rendered yet");
      return used;
    },
  };
}

describe(`the input of useOperation in React ${version}`, () => {
  it("is idle on a server that has no page, with a relative base", () => {
    const { show, counts } = createCounted("/api/");
    expect(renderToString(show(cart))).toBe("idle");
    expect(counts.built).toBe(0);
  });

  it("is not asked for its request while rendering, nor at all before a run", async () => {
    const held = createHeld();
    await withServer([held.reply, done], async ({ url }) => {
      const { show, counts, used } = createCounted(url);
      const page = await mount(show(cart));
      await page.render(show({ ...cart }));
      await page.render(show({ ...cart, lines: ["pear"] }));
      await page.render(show(cart));
      expect(counts.built).toBe(0);
      await act(async () => {
        void used().run();
        await held.arrived;
      });
      expect(page.text()).toBe("sending");
      await page.render(show({ ...cart }));
      expect(page.text(), "an equal input has the same state at once").toBe("sending");
      await act(async () => {
        held.go();
        await used().run();
      });
      expect(page.text()).toBe("settled");
      const { built } = counts;
      for (let times = 0; times < 3; times += 1) await page.render(show({ ...cart }));
      expect(counts).toEqual({ built, whileRendering: 0 });
      await page.unmount();
    });
  });

  it("may be missing: nothing is sent until it is there", async () => {
    await withServer([done], async ({ url, seen }) => {
      const { show, used } = createCounted(url);
      for (const missing of [undefined, null]) {
        const page = await mount(show(missing));
        expect(page.text()).toBe("idle");
        await expect(used().run()).rejects.toThrow("useOperation has no input to run yet");
        await page.render(show(cart));
        await act(async () => used().run());
        expect(page.text()).toBe("settled");
        await page.render(show(missing));
        expect(page.text()).toBe("idle");
        await page.unmount();
      }
      expect(new Set(seen.map(({ body }) => body))).toEqual(new Set(['["apple"]']));
    });
  });

  it("is idle if its request cannot be made, and only its run rejects", async () => {
    await withServer([done], async ({ url, seen }) => {
      const { show, used, operation } = createCounted(url, ({ lines }) => {
        if (lines.length === 0) throw new Error("the cart is empty");
        return lines;
      });
      await operation.run(cart);
      const page = await mount(show({ ...cart, lines: [] }));
      expect(page.text()).toBe("idle");
      await expect(used().run()).rejects.toThrow("the cart is empty");
      expect(page.text()).toBe("idle");
      expect(seen).toHaveLength(1);
      await page.unmount();
    });
  });

  it("may be another object in each render, although it cannot be compared", async () => {
    await withServer([done], async ({ url }) => {
      const { show, used } = createCounted(url);
      const make = () => show(Object.assign({ onPaid: () => undefined }, cart));
      const page = await mount(make());
      await act(async () => used().run());
      for (let times = 0; times < 3; times += 1) await page.render(make());
      expect(page.text()).toBe("settled");
      await page.unmount();
    });
  });

  it("is not needed by an operation that has none", async () => {
    await withServer([done], async ({ url, seen }) => {
      const ping = createClient({ ky: { prefix: url } }).operation("ping", {
        request: () => ({ path: "ping" }),
      });
      let used: Used | undefined;
      function Ping(): ReactNode {
        used = useOperation(ping);
        return used.state.kind;
      }
      const page = await mount(createElement(Ping));
      await act(async () => used?.run());
      expect([page.text(), seen[0]?.path]).toEqual(["settled", "/api/ping"]);
      await page.unmount();
    });
  });
});

describe(`the operation of useOperation in React ${version}`, () => {
  it("may be another one for an equal input: its state is shown, run and reset", async () => {
    await withServer([done], async ({ url, seen }) => {
      const { client } = createShop(url);
      const paidBy = (path: string): Operation<Cart, unknown> =>
        client.operation(path, { request: ({ lines }: Cart) => ({ path, json: lines }) });
      const [byCard, byTransfer] = [paidBy("card"), paidBy("transfer")];
      let used: Used | undefined;
      function Pay({ operation }: { readonly operation: Operation<Cart, unknown> }): ReactNode {
        used = useOperation(operation, { ...cart });
        return used.state.kind;
      }
      const page = await mount(createElement(Pay, { operation: byCard }));
      await act(async () => used?.run());
      expect(page.text()).toBe("settled");
      await page.render(createElement(Pay, { operation: byTransfer }));
      expect(page.text()).toBe("idle");
      await act(async () => used?.run());
      expect(seen.map(({ path }) => path)).toEqual(["/api/card", "/api/transfer"]);
      expect(page.text()).toBe("settled");
      await act(async () => used?.reset());
      expect(page.text()).toBe("idle");
      await page.render(createElement(Pay, { operation: byCard }));
      expect(page.text(), "the first one is as it was").toBe("settled");
      await page.unmount();
    });
  });
});

describe(`reset of useOperation in React ${version}`, () => {
  function createPair(operation: Operation<Cart, unknown>) {
    const useds: Used[] = [];
    const Pay = ({ index }: { readonly index: number }): ReactNode => {
      const used = useOperation(operation, cart);
      useds[index] = used;
      return used.state.kind;
    };
    return { useds, page: [0, 1].map((index) => createElement(Pay, { index, key: index })) };
  }

  it("shows idle after a settled run, in every component with the input", async () => {
    await withServer([json(402, { message: "declined" }), done], async ({ url }) => {
      const { order } = createShop(url);
      const { useds, page: parts } = createPair(order);
      const page = await mount(createElement("p", null, parts));
      const [one] = useds;
      await act(async () => one?.run());
      expect(page.text()).toBe("settledsettled");
      await act(async () => one?.reset());
      expect(page.text()).toBe("idleidle");
      expect(useds[0]?.reset, "the same function").toBe(one?.reset);
      await act(async () => useds[1]?.run());
      expect(useds[0]?.state).toMatchObject({ kind: "settled", result: { kind: "done" } });
      await page.unmount();
    });
  });

  it("does nothing while a run is live", async () => {
    const held = createHeld();
    await withServer([held.reply], async ({ url }) => {
      const { order } = createShop(url);
      const { useds, page: parts } = createPair(order);
      const page = await mount(createElement("p", null, parts));
      await act(async () => {
        void useds[0]?.run();
        await held.arrived;
        useds[0]?.reset();
      });
      expect(page.text()).toBe("sendingsending");
      await act(async () => {
        held.go();
        await useds[0]?.run();
      });
      expect(page.text()).toBe("settledsettled");
      await page.unmount();
    });
  });

  it("does nothing while the outcome is unknown", async () => {
    await withServer([lost], async ({ url }) => {
      const { order } = createShop(url, { attempts: 1 });
      const { useds, page: parts } = createPair(order);
      const page = await mount(createElement("p", null, parts));
      await act(async () => useds[0]?.run());
      await act(async () => useds[0]?.reset());
      expect(page.text()).toBe("unknownunknown");
      await page.unmount();
    });
  });
});

import { describe, expect, it } from "vitest";
import { createHeld } from "../support/held.ts";
import { done, withServer } from "../support/server.ts";
import { cart, createShop } from "../support/shop.ts";

const changed = { ...cart, lines: ["pear"] };

describe("a joined run", () => {
  it("goes on if one of two components aborts", async () => {
    const held = createHeld();
    await withServer([held.reply], async ({ url, seen }) => {
      const { order } = createShop(url);
      const [one, two] = [new AbortController(), new AbortController()];
      const run = order.run(cart, { signal: one.signal });
      expect(order.run(cart, { signal: two.signal })).toBe(run);
      await held.arrived;
      one.abort();
      held.go();
      expect(await run).toMatchObject({ kind: "done" });
      expect(seen).toHaveLength(1);
    });
  });

  it("ends when all who joined have aborted", async () => {
    const held = createHeld();
    await withServer([held.reply], async ({ url }) => {
      const { order } = createShop(url);
      const [one, two] = [new AbortController(), new AbortController()];
      const run = order.run(cart, { signal: one.signal });
      void order.run(cart, { signal: two.signal });
      await held.arrived;
      one.abort();
      two.abort("gone");
      expect(await run).toMatchObject({ kind: "unknown", error: { cause: "gone" } });
    });
  });

  it("never ends by a signal if one of its callers passed none", async () => {
    const held = createHeld();
    await withServer([held.reply], async ({ url }) => {
      const { order } = createShop(url);
      const controller = new AbortController();
      const run = order.run(cart, { signal: controller.signal });
      void order.run(cart);
      await held.arrived;
      controller.abort();
      held.go();
      expect((await run).kind).toBe("done");
    });
  });

  it("that has ended by its signal is not joined: the clean-up of an effect under StrictMode", async () => {
    await withServer([done], async ({ url, seen }) => {
      const { order } = createShop(url);
      const first = new AbortController();
      const unmounted = order.run(cart, { signal: first.signal });
      first.abort();
      const mounted = order.run(cart, { signal: new AbortController().signal });
      expect(await mounted).toMatchObject({ kind: "done" });
      expect(await unmounted).toMatchObject({ kind: "rejected", attempts: 0 });
      expect(seen).toHaveLength(1);
    });
  });
});

describe("a queued run", () => {
  it("ends at once when its own signal aborts, and the live one goes on", async () => {
    const held = createHeld();
    await withServer([held.reply], async ({ url, seen }) => {
      const { order } = createShop(url);
      const live = order.run(cart);
      await held.arrived;
      const controller = new AbortController();
      const queued = order.run(changed, { signal: controller.signal });
      controller.abort("closed");
      expect(await queued).toMatchObject({ kind: "unknown", earlier: true, attempts: 0 });
      held.go();
      expect((await live).kind).toBe("done");
      expect(seen).toHaveLength(1);
    });
  });

  it("that has ended by its signal leaves the next one waiting for the live one", async () => {
    const held = createHeld();
    await withServer([held.reply, done], async ({ url, seen }) => {
      const { order } = createShop(url);
      const live = order.run(cart);
      await held.arrived;
      const controller = new AbortController();
      const cancelled = order.run(changed, { signal: controller.signal });
      controller.abort();
      await cancelled;
      const next = order.run(changed);
      held.go();
      const [first, second] = await Promise.all([live, next]);
      expect([first.kind, second.kind]).toEqual(["done", "done"]);
      expect(second.key).not.toBe(first.key);
      expect(seen).toHaveLength(2);
    });
  });
});

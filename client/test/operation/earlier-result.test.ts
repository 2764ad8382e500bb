import { describe, expect, it } from "vitest";
import { cart, createShop } from "../support/shop.ts";
import { json, reset, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";
import { createGate, openBrowser } from "../support/tabs.ts";

const changed = { ...cart, lines: ["apple", "pear"] };
const replay = json(201, { id: 1 }, { "idempotent-replayed": "true" });
const second = json(201, { id: 2 });
const declined = json(402, { message: "declined" }, { "idempotent-replayed": "true" });
const resolveFirst = { attempts: 1, onChange: "resolve-first" } as const;

describe("onChange: 'resolve-first' with a changed cart", () => {
  it("settles the earlier order, stops, and leaves the new one to the next run", async () => {
    await withServer([reset, replay, second], async ({ url, seen }) => {
      const { order } = createShop(url, resolveFirst);
      const { key } = await order.run(cart);
      const result = await order.run(changed);
      expect(result).toMatchObject({
        kind: "rejected",
        key,
        error: { code: "earlier_operation_exists" },
        earlierResult: { kind: "done", key, value: { id: 1 }, replayed: true },
      });
      expect(seen.map(({ body }) => body.includes("pear"))).toEqual([false, false]);
      expect(order.observe(changed).getState()).toEqual({ kind: "settled", result });
      expect(order.observe(cart).getState()).toMatchObject({ result: { kind: "done", key } });
      const next = await order.run(changed);
      expect(next).toMatchObject({ kind: "done", value: { id: 2 } });
      expect(next.key).not.toBe(key);
    });
  });

  it("reports that the earlier one was refused", async () => {
    await withServer([reset, declined, second], async ({ url, seen }) => {
      const { order } = createShop(url, resolveFirst);
      await order.run(cart);
      expect(await order.run(changed)).toMatchObject({
        kind: "rejected",
        earlierResult: { kind: "rejected", error: { message: "declined", status: 402 } },
      });
      expect(seen).toHaveLength(2);
      expect(await order.run(changed)).toMatchObject({ kind: "done", value: { id: 2 } });
    });
  });

  it("marks an unknown result that belongs to the earlier order", async () => {
    await withServer([reset, reset, replay], async ({ url, seen }) => {
      const { order } = createShop(url, resolveFirst);
      const { key } = await order.run(cart);
      const result = await order.run(changed);
      expect(result).toMatchObject({ kind: "unknown", key, earlier: true, canResume: true });
      expect(seen).toHaveLength(2);
      const own = await order.run(cart);
      expect(own).toMatchObject({ kind: "done", key });
    });
  });

  it.each<[string, Reply]>([
    ["done", replay],
    ["refused", declined],
  ])("gives a tab that waited the same result: %s", async (_name, reply) => {
    const { openTab, waiting } = openBrowser();
    const { opened, open } = createGate();
    const gated: Reply = (...given) => opened.then(() => reply(...given));
    await withServer([reset, gated, second], async ({ url, seen }) => {
      const [one, two] = [openTab(url, resolveFirst), openTab(url, resolveFirst)];
      await one.order.run(cart);
      const first = one.order.run(changed);
      await expect.poll(() => seen.length).toBe(2);
      const waits = two.order.run(changed);
      await waiting(1);
      open();
      const [ours, theirs] = await Promise.all([first, waits]);
      expect(ours).toMatchObject({ kind: "rejected", earlierResult: {} });
      expect(theirs).toEqual(ours);
      expect(seen.filter(({ body }) => body.includes("pear"))).toEqual([]);
    });
  });
});

describe("onChange: 'hold' with a changed cart", () => {
  const original = { "idempotency-mismatch": "true", "idempotent-replayed": "true" };

  it("places one order, the new one, if the first request never arrived", async () => {
    await withServer([reset, second], async ({ url, seen }) => {
      const { order, client } = createShop(url, { attempts: 1 });
      const { key } = await order.run(cart);
      expect(await order.run(changed)).toMatchObject({ kind: "done", key, value: { id: 2 } });
      expect(seen.map((one) => one.key)).toEqual([key, key]);
      expect(await client.pending()).toEqual([]);
    });
  });

  it("carries the result of the first order if that had arrived", async () => {
    await withServer([reset, json(201, { id: 1 }, original), second], async ({ url }) => {
      const { order, client } = createShop(url, { attempts: 1 });
      const { key } = await order.run(cart);
      const result = await order.run(changed);
      expect(result).toMatchObject({
        kind: "rejected",
        key,
        error: { code: "earlier_operation_exists" },
        earlierResult: { kind: "done", key, value: { id: 1 }, replayed: true, status: 201 },
      });
      expect(result).not.toHaveProperty("earlier");
      expect(await client.pending()).toEqual([]);
      expect(order.observe(cart).getState()).toMatchObject({ result: { kind: "done" } });
      expect((await order.run(changed)).key).not.toBe(key);
    });
  });

  it("carries a refusal of the first order", async () => {
    await withServer([reset, json(402, { reason: "card" }, original)], async ({ url }) => {
      const { order, client } = createShop(url, { attempts: 1 });
      await order.run(cart);
      expect(await order.run(changed)).toMatchObject({
        kind: "rejected",
        earlierResult: { kind: "rejected", error: { status: 402, problem: { reason: "card" } } },
      });
      expect(await client.pending()).toEqual([]);
    });
  });
});

import { describe, expect, it } from "vitest";
import { cart, createShop } from "../support/shop.ts";
import { json, reset, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";
import { createGate, openBrowser } from "../support/tabs.ts";

const changed = { ...cart, lines: ["apple", "pear"] };
const replay = json(201, { id: 1 }, { "idempotent-replayed": "true" });
const second = json(201, { id: 2 });

describe("the result of a changed cart that came after an unresolved one", () => {
  it("says that the earlier one was done as well", async () => {
    await withServer([reset, replay, second], async ({ url }) => {
      const { order } = createShop(url, { attempts: 1 });
      const { key } = await order.run(cart);
      const result = await order.run(changed);
      expect(result).toMatchObject({ kind: "done", value: { id: 2 } });
      expect(result.earlierResult).toEqual({
        kind: "done",
        key,
        value: { id: 1 },
        replayed: true,
        status: 201,
        attempts: 1,
      });
      expect(order.observe(cart).getState()).toEqual({ kind: "settled", result });
    });
  });

  it.each([
    ["refused", json(402, {}), "rejected"],
    ["not known", reset, "unknown"],
  ])("says so too where the new one is %s", async (_name, reply, kind) => {
    await withServer([reset, replay, reply], async ({ url }) => {
      const { order } = createShop(url, { attempts: 1 });
      const { key } = await order.run(cart);
      const result = await order.run(changed);
      expect(result).toMatchObject({ kind, earlierResult: { kind: "done", key } });
      expect(result.key).not.toBe(key);
    });
  });

  it("says that the earlier one was refused", async () => {
    const declined = json(402, { message: "declined" }, { "idempotent-replayed": "true" });
    await withServer([reset, declined, second], async ({ url }) => {
      const { order } = createShop(url, { attempts: 1 });
      await order.run(cart);
      expect(await order.run(changed)).toMatchObject({
        kind: "done",
        earlierResult: { kind: "rejected", error: { message: "declined", status: 402 } },
      });
    });
  });

  it("says nothing where there was none, or where it is still not known", async () => {
    await withServer([reset, reset, replay, second], async ({ url }) => {
      const { order } = createShop(url, { attempts: 1 });
      await order.run(cart);
      expect(await order.run(changed)).not.toHaveProperty("earlierResult");
      expect(await order.run(cart)).not.toHaveProperty("earlierResult");
      expect(await order.run(changed)).not.toHaveProperty("earlierResult");
    });
  });

  it.each<[string, Reply]>([
    ["done", replay],
    ["refused", json(402, { message: "declined" }, { "idempotent-replayed": "true" })],
  ])("is the same in a tab that waited for it: %s", async (_name, reply) => {
    const { openTab, waiting } = openBrowser();
    const { opened, open } = createGate();
    const gated: Reply = (...given) => opened.then(() => reply(...given));
    await withServer([reset, gated, second], async ({ url, seen }) => {
      const [one, two] = [openTab(url, { attempts: 1 }), openTab(url)];
      await one.order.run(cart);
      const runs = [one.order.run(changed), two.order.run(changed)];
      await waiting(1);
      open();
      const [ours, theirs] = await Promise.all(runs);
      expect(ours?.earlierResult).toBeDefined();
      expect(theirs).toEqual(ours);
      expect(theirs?.earlierResult).toMatchObject(
        ours?.earlierResult?.kind === "rejected" ? { error: { message: "declined" } } : {},
      );
      expect(seen).toHaveLength(3);
    });
  });
});

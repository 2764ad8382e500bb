import { memoryStorage } from "@oncekey/client";
import { describe, expect, it } from "vitest";
import { done, reset, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";
import { cart, createShop } from "../support/shop.ts";
import { createGate, openBrowser } from "../support/tabs.ts";

const changed = { ...cart, lines: ["pear"] };
const resolveFirst = { attempts: 1, onChange: "resolve-first" } as const;

describe("an earlier operation that two contexts settle at once, both for the same changed cart,", () => {
  it("is settled under one key, and neither starts another one, without turns", async () => {
    const storage = memoryStorage();
    await withServer([reset, done], async ({ url, seen }) => {
      const open = () => createShop(url, { storage, ...resolveFirst }).order;
      const { key } = await open().run(cart);
      const results = await Promise.all([open().run(changed), open().run(changed)]);
      for (const result of results) {
        expect(result).toMatchObject({ kind: "rejected", key, earlierResult: { kind: "done" } });
      }
      expect(new Set(seen.map((one) => one.key))).toEqual(new Set([key]));
    });
  });

  it("keeps the other tab from sending while the tab that has the turn is frozen", async () => {
    const { openTab, waiting } = openBrowser();
    const { opened: thawed, open: thaw } = createGate();
    const frozen: Reply = async (...given) => {
      await thawed;
      done(...given);
    };
    await withServer([reset, frozen, done], async (shop) => {
      const { url, seen } = shop;
      const first = openTab(url, resolveFirst).order;
      const { key } = await first.run(cart);
      const run = first.run(changed);
      await expect.poll(() => seen.length).toBe(2);
      const other = openTab(url, { ...resolveFirst, deadlineMs: 2_000 }).order.run(changed);
      await waiting(1);
      expect(await other).toMatchObject({ kind: "rejected", key, earlierResult: {} });
      thaw();
      expect(await run).toMatchObject({ kind: "rejected", earlierResult: { kind: "done" } });
      expect(seen.some(({ body }) => body.includes("pear"))).toBe(false);
    });
  });
});

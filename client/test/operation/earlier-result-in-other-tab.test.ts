import { memoryStorage } from "@oncekey/client";
import { describe, expect, it } from "vitest";
import { done, reset, withServer } from "../support/server.ts";
import type { Reply, Seen } from "../support/server.ts";
import { cart, createShop } from "../support/shop.ts";
import { createGate, openBrowser } from "../support/tabs.ts";

const gated = (gate: Promise<void>, reply: Reply): Reply => {
  return (response, seen) => gate.then(() => reply(response, seen));
};
const changed = { ...cart, lines: ["pear"] };
const isChanged = ({ body }: Seen): boolean => body.includes("pear");
const keysOf = (seen: readonly Seen[]) => new Set(seen.filter(isChanged).map(({ key }) => key));

describe("an earlier operation that two contexts settle at once, both for the same changed cart,", () => {
  it("is followed by one key where they take no turns", async () => {
    const storage = memoryStorage();
    const isFirstStarted = createGate();
    const isSecondStarted = createGate();
    const slow = gated(isFirstStarted.opened, done);
    const held = gated(isSecondStarted.opened, done);
    const first: Reply = (...given) => {
      isFirstStarted.open();
      return held(...given);
    };
    const second: Reply = (...given) => {
      isSecondStarted.open();
      return done(...given);
    };
    await withServer([reset, done, slow, first, second], async ({ url, seen }) => {
      const open = () => createShop(url, { storage, attempts: 1 }).order;
      await open().run(cart);
      const results = await Promise.all([open().run(changed), open().run(changed)]);
      expect(results.map(({ kind }) => kind)).toEqual(["done", "done"]);
      expect(results.map(({ earlierResult }) => earlierResult?.kind)).toEqual(["done", "done"]);
      expect(keysOf(seen).size).toBe(1);
      expect(seen).toHaveLength(5);
    });
  });

  it("is followed by no second one where the first was settled and over before the other heard of it", async () => {
    const storage = memoryStorage();
    const isAsked = createGate();
    const isOver = createGate();
    const held = gated(isOver.opened, done);
    const late: Reply = (...given) => {
      isAsked.open();
      return held(...given);
    };
    await withServer([reset, late, done], async ({ url, seen }) => {
      const open = () => createShop(url, { storage, attempts: 1 }).order;
      await open().run(cart);
      const other = open().run(changed);
      await isAsked.opened;
      expect((await open().run(changed)).kind).toBe("done");
      await expect.poll(() => storage.getAllKeys()).toEqual([]);
      isOver.open();
      expect(await other).toMatchObject({
        kind: "rejected",
        attempts: 0,
        earlierResult: { kind: "done" },
      });
      expect(keysOf(seen).size).toBe(1);
      expect(await storage.getAllKeys()).toEqual([]);
    });
  });

  it("is followed by that of the tab alone which has the turn, be it frozen", async () => {
    const { openTab, waiting } = openBrowser();
    const { opened: thawed, open: thaw } = createGate();
    const frozen = gated(thawed, done);
    await withServer([reset, frozen, done], async ({ url, seen }) => {
      const first = openTab(url, { attempts: 1 }).order;
      await first.run(cart);
      const run = first.run(changed);
      await expect.poll(() => seen.length).toBe(2);
      const other = openTab(url, { deadlineMs: 500 }).order.run(changed);
      await waiting(1);
      expect(await other).toMatchObject({
        kind: "rejected",
        attempts: 0,
        earlierResult: { kind: "done" },
      });
      thaw();
      expect(await run).toMatchObject({ kind: "done", earlierResult: { kind: "done" } });
      expect(keysOf(seen).size).toBe(1);
    });
  });
});

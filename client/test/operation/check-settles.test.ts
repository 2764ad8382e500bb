import { memoryStorage } from "@oncekey/client";
import type { OperationStorage } from "@oncekey/client";
import { describe, expect, it } from "vitest";
import { holdRemovals } from "../support/hold-removals.ts";
import { cart, createShop } from "../support/shop.ts";
import { done, json, reset, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";
import { createGate, openBrowser } from "../support/tabs.ts";

const replay = json(201, { id: 1 }, { "idempotent-replayed": "true" });

const gated = (gate: Promise<void>, reply: Reply): Reply => {
  return (response, seen) => gate.then(() => reply(response, seen));
};

describe("what a check finds done", () => {
  const asking = { attempts: 1, statusCheck: true };

  async function leaveUnknown(url: string, storage: OperationStorage) {
    const shop = createShop(url, { ...asking, storage });
    const first = await shop.order.run(cart);
    if (first.kind !== "unknown" || !first.check) throw new Error(first.kind);
    return { ...shop, key: first.key, check: first.check };
  }

  it("is returned before the record is removed, and the next click waits for the removal", async () => {
    const { storage, asked, open } = holdRemovals();
    await withServer([reset, replay, done], async ({ url, seen }) => {
      const { key, check, order, client } = await leaveUnknown(url, storage);
      expect(await check()).toMatchObject({ kind: "done", key });
      const next = order.run(cart);
      await asked;
      expect([await client.pending(), seen.length]).toEqual([[], 2]);
      open();
      expect((await next).key).not.toBe(key);
    });
  });

  it("is the result of a concurrent click, in this tab and in another one", async () => {
    const { storage, openTab, waiting } = openBrowser();
    const { opened, open } = createGate();
    await withServer([reset, gated(opened, replay)], async ({ url, seen }) => {
      const { key, check, order } = await leaveUnknown(url, storage);
      const results = [check(), order.run(cart), openTab(url).order.run(cart)];
      await waiting(1);
      open();
      for (const result of await Promise.all(results)) {
        expect(result).toMatchObject({ kind: "done", key });
      }
      expect(seen).toHaveLength(2);
    });
  });

  it("does not affect a later run if another tab settled the operation first", async () => {
    const storage = memoryStorage();
    const { opened, open } = createGate();
    await withServer([reset, replay, gated(opened, done), replay], async ({ url, seen }) => {
      const { key, check, order } = await leaveUnknown(url, storage);
      await createShop(url, { storage }).order.run(cart);
      await expect.poll(() => storage.getAllKeys()).toEqual([]);
      const later = order.run(cart);
      await expect.poll(() => seen.length).toBe(3);
      const checked = check();
      open();
      expect(await checked).toMatchObject({ kind: "done", key });
      expect((await later).key).toBe(seen[2]?.key);
      expect((await later).key).not.toBe(key);
    });
  });

  it("leaves a run that waits for its turn to that run, if it finds nothing", async () => {
    const { opened, open } = createGate();
    const missing = json(404, { code: "idempotency_not_found" });
    await withServer([reset, gated(opened, missing), done], async ({ url, seen }) => {
      const { check, order } = await leaveUnknown(url, memoryStorage());
      const looking = check();
      await expect.poll(() => seen.length).toBe(2);
      const run = order.run(cart);
      open();
      expect(await looking).toMatchObject({ kind: "unknown", found: false });
      expect((await run).kind).toBe("done");
    });
  });
});

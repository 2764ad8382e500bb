import { memoryStorage } from "@oncekey/client";
import { afterEach, describe, expect, it, vi } from "vitest";
import { holdRemovals } from "../support/hold-removals.ts";
import { cart, createShop } from "../support/shop.ts";
import { done, json, reset, withServer } from "../support/server.ts";
import { openBrowser, RECORD } from "../support/tabs.ts";

const replay = json(201, { id: 1 }, { "idempotent-replayed": "true" });
const changed = { ...cart, lines: ["pear"] };

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("what is done", () => {
  it("is returned before its record is removed, and is over: neither pending nor joined by the next click", async () => {
    const { storage, asked, open } = holdRemovals();
    await withServer([done], async ({ url, seen }) => {
      const { order, client } = createShop(url, { storage });
      const store = order.observe(cart);
      const [one, two] = [order.run(cart), order.run(cart)];
      expect(two, "while it runs, it is the same").toBe(one);
      const first = await one;
      expect(store.getState()).toEqual({ kind: "settled", result: first });
      const next = order.run(cart);
      expect(next).not.toBe(one);
      expect(order.run(cart)).toBe(next);
      await asked;
      expect(await storage.getItem(RECORD)).toContain(first.key);
      expect(await client.pending()).toEqual([]);
      expect(seen, "the next one waits for its turn").toHaveLength(1);
      open();
      expect((await next).key).not.toBe(first.key);
      expect(seen.map(({ key }) => key)).toEqual([first.key, (await next).key]);
    });
  });

  it("is found again, and answered from the server's record, if the page died before the removal", async () => {
    const { storage, asked } = holdRemovals();
    await withServer([done, replay], async ({ url, seen }) => {
      const { key } = await createShop(url, { storage }).order.run(cart);
      await asked;
      const reloaded = createShop(url, { storage });
      const [pending] = await reloaded.client.pending();
      expect(await pending?.resume()).toMatchObject({ kind: "done", key, replayed: true });
      const again = await createShop(url, { storage }).order.run(cart);
      expect(again).toMatchObject({ kind: "done", key, replayed: true });
      expect(new Set(seen.map((one) => one.key)).size).toBe(1);
    });
  });

  it("is over, and logged, if the removal fails", async () => {
    const removeItem = (): Promise<never> => Promise.reject(new Error("disk"));
    await withServer([done], async ({ url }) => {
      const storage = { ...memoryStorage(), removeItem };
      const { order, warnings } = createShop(url, { storage });
      const first = await order.run(cart);
      const second = await order.run(cart);
      expect([first.kind, second.kind]).toEqual(["done", "done"]);
      expect(second.key).not.toBe(first.key);
      expect(warnings).toMatchObject([{ code: "storage_failed", cause: { message: "disk" } }]);
    });
  });

  it("is returned although the removal has no end, and the next one goes on without it", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { storage, asked } = holdRemovals();
    const fetch: typeof globalThis.fetch = async (input, init) => {
      const key = new Request(input, init).headers.get("idempotency-key") ?? "";
      return Response.json({ id: 1 }, { headers: { "idempotency-key": key } });
    };
    const { order, warnings } = createShop("https://shop.example/", { storage, ky: { fetch } });
    const first = await order.run(cart);
    expect(first.kind).toBe("done");
    const next = order.run(cart);
    await asked;
    await vi.advanceTimersByTimeAsync(3_000);
    expect((await next).key).not.toBe(first.key);
    expect(warnings.map(({ code }) => code)).toEqual(["storage_failed"]);
  });

  it("resolves a queued run of the same input when the run of another cart settles it", async () => {
    await withServer([reset, replay], async ({ url, seen }) => {
      const { order } = createShop(url, { attempts: 1, onChange: "resolve-first" });
      const { key } = await order.run(cart);
      const results = await Promise.all([order.run(changed), order.run(cart)]);
      expect(results[1]).toMatchObject({ kind: "done", key, value: { id: 1 } });
      expect(results[0]).toMatchObject({ kind: "rejected", earlierResult: { kind: "done", key } });
      expect(seen).toHaveLength(2);
    });
  });

  it("keeps its turn among the tabs until it is removed", async () => {
    const browser = openBrowser();
    const { storage, asked, open } = holdRemovals(browser.storage);
    await withServer([done], async ({ url, seen }) => {
      const first = await browser.openTab(url, { storage }).order.run(cart);
      await asked;
      const other = browser.openTab(url).order.run(cart);
      await browser.waiting(1);
      expect(seen).toHaveLength(1);
      open();
      expect((await other).key, "that click came after").not.toBe(first.key);
    });
  });

  it("without Web Locks, leaves its key to a tab that comes before it is removed", async () => {
    vi.stubGlobal("navigator", {});
    const browser = openBrowser();
    const { storage, asked, open } = holdRemovals(browser.storage);
    await withServer([done, replay, done], async ({ url }) => {
      const { key } = await browser.openTab(url, { storage }).order.run(cart);
      await asked;
      expect(await browser.openTab(url).order.run(cart)).toMatchObject({ key, replayed: true });
      open();
      expect((await browser.openTab(url).order.run(cart)).key).not.toBe(key);
    });
  });
});

describe("what is not done", () => {
  const noToken = () => Promise.reject(new Error("no token"));
  it.each([
    ["refused", {}, json(401, {})],
    ["never sent", { ky: { hooks: { beforeRequest: [noToken] } } }, done],
  ])(
    "is forgotten before it is told, so that no page sends it any more: %s",
    async (_name, options, reply) => {
      const { storage, asked, open } = holdRemovals();
      await withServer([reply], async ({ url }) => {
        let isTold = false;
        const { order } = createShop(url, { storage, attempts: 1, ...options });
        const run = order.run(cart).finally(() => (isTold = true));
        await asked;
        await new Promise((resolve) => setImmediate(resolve));
        expect(isTold).toBe(false);
        open();
        expect((await run).kind).toBe("rejected");
        expect(await storage.getAllKeys()).toEqual([]);
      });
    },
  );
});

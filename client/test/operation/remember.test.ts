import { createClient, memoryStorage } from "@oncekey/client";
import type { ClientOptions, OperationStorage } from "@oncekey/client";
import { afterEach, describe, expect, it, vi } from "vitest";
import { v5 } from "uuid";
import { done, json, reset, withServer } from "../support/server.ts";
import { cart, createShop } from "../support/shop.ts";

const HOUR_MS = 3_600_000;
const replay = json(201, { id: 1 }, { "idempotent-replayed": "true" });
const byDefault = { rememberMs: undefined, attempts: 1 };
const changed = { ...cart, lines: ["pear"] };

afterEach(() => vi.useRealTimers());

function openPage(prefix: string, options: ClientOptions = {}) {
  const client = createClient({ ky: { prefix }, attempts: 1, onWarning() {}, ...options });
  const pay = client.operation("pay", {
    request: (lines: readonly string[]) => ({ path: "orders", json: { lines } }),
  });
  return { client, pay };
}

async function advanceUntil(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isTrue())) {
    await vi.advanceTimersByTimeAsync(1);
    // Sockets need real turns of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

interface Remembered {
  readonly rememberedUntil: number;
}

async function read(storage: OperationStorage): Promise<[Remembered]> {
  const names = await storage.getAllKeys();
  const texts = await Promise.all(names.map(async (name) => storage.getItem(name)));
  return texts.map((text) => JSON.parse(text ?? "") as Remembered) as [Remembered];
}

describe("after done, the same input", () => {
  it("is a replay for the lifetime of the key if it has an instance: Back and Pay again", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const storage = memoryStorage();
    await withServer([done, replay, replay, done], async ({ url, seen }) => {
      const { key } = await createShop(url, { ...byDefault, storage }).order.run(cart);
      const back = createShop(url, { ...byDefault, storage });
      expect(await back.order.run(cart)).toMatchObject({ kind: "done", key, replayed: true });
      vi.setSystemTime(Date.now() + 23 * HOUR_MS);
      expect(await back.order.run(cart)).toMatchObject({ kind: "done", key, replayed: true });
      vi.setSystemTime(Date.now() + HOUR_MS);
      expect((await back.order.run(cart)).key, "the server may have forgotten it").not.toBe(key);
      expect(seen).toHaveLength(4);
    });
  });

  it("is a replay for three seconds without an instance: a second click", async () => {
    vi.useFakeTimers({ toFake: ["Date", "setTimeout", "clearTimeout"] });
    const storage = memoryStorage();
    await withServer([done, replay, done], async ({ url }) => {
      const { pay } = openPage(url, { storage });
      const { key } = await pay.run(["apple"]);
      vi.setSystemTime(Date.now() + 2_900);
      expect(await pay.run(["apple"])).toMatchObject({ key, replayed: true });
      vi.setSystemTime(Date.now() + 200);
      expect((await pay.run(["apple"])).key).not.toBe(key);
      await vi.advanceTimersByTimeAsync(3_100);
      expect(await storage.getAllKeys(), "and nothing stays").toEqual([]);
    });
  });

  it("is a new operation after three seconds if the start-up settled one without an instance", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const storage = memoryStorage();
    await withServer([reset, done], async ({ url }) => {
      const { key } = await openPage(url, { storage }).pay.run(["apple"]);
      const { client, pay } = openPage(url, { storage });
      await client.resumeAll();
      vi.setSystemTime(Date.now() + 3_100);
      const next = await pay.run(["apple"]);
      expect(next.kind).toBe("done");
      expect(next.key).not.toBe(key);
    });
  });

  it("keeps its record if the time of the one before ends while it is written", async () => {
    vi.useFakeTimers({ toFake: ["Date", "setTimeout", "clearTimeout"] });
    const inner = memoryStorage();
    const later = async <Value>(ms: number, use: () => Value): Promise<Value> => {
      await new Promise((resolve) => void setTimeout(resolve, ms));
      return use();
    };
    const storage = {
      ...inner,
      getItem: async (name: string) => {
        const found = await inner.getItem(name);
        return later(10, () => found);
      },
      setItem: (name: string, value: string) => later(5, () => void inner.setItem(name, value)),
      removeItem: (name: string) => later(5, () => void inner.removeItem(name)),
    };
    await withServer([done, reset], async ({ url, seen }) => {
      const { pay } = openPage(url, { storage, deadlineMs: 1_000 });
      const first = pay.run(["apple"]);
      await advanceUntil(() => seen.length === 1);
      await first;
      await advanceUntil(async () => JSON.stringify(await read(inner)).includes("rememberedUntil"));
      const [{ rememberedUntil: until }] = await read(inner);
      // The clock is ahead of the timers, so that the second click comes just before the removal.
      await vi.advanceTimersByTimeAsync(until - Date.now() - 12);
      vi.setSystemTime(Date.now() + 5);
      const second = pay.run(["apple"]);
      await advanceUntil(() => seen.length === 2);
      expect(await second).toMatchObject({ kind: "unknown" });
      await vi.advanceTimersByTimeAsync(100);
      const pending = await openPage(url, { storage: inner }).client.pending();
      expect(pending.map(({ key }) => key)).toEqual([(await second).key]);
    });
  });

  it.each([
    ["rememberMs: 0", { rememberMs: 0 }],
    ["again: true", { rememberMs: undefined }],
  ])("is a new operation with %s", async (_name, options) => {
    await withServer([done], async ({ url }) => {
      const { order } = createShop(url, options);
      const { key } = await order.run(cart);
      const again = options.rememberMs === undefined;
      expect((await order.run(cart, { again })).key).not.toBe(key);
    });
  });

  it("is one new operation if it is asked for again twice at once", async () => {
    await withServer([done], async ({ url, seen }) => {
      const { order } = createShop(url, byDefault);
      await order.run(cart);
      const [one, two] = [order.run(cart, { again: true }), order.run(cart, { again: true })];
      expect(one).toBe(two);
      await one;
      expect(seen).toHaveLength(2);
    });
  });

  it("goes on with an unresolved operation even if a new one is asked for", async () => {
    await withServer([reset, done], async ({ url }) => {
      const { order } = createShop(url, byDefault);
      const { key } = await order.run(cart);
      expect(await order.run(cart, { again: true })).toMatchObject({ kind: "done", key });
    });
  });

  it("changed, is a new operation of the instance", async () => {
    await withServer([done, json(201, { id: 2 })], async ({ url }) => {
      const { order, client } = createShop(url, byDefault);
      const { key } = await order.run(cart);
      const next = await order.run(changed);
      expect(next).toMatchObject({ kind: "done", value: { id: 2 } });
      expect(next.key).not.toBe(key);
      expect(await client.pending()).toEqual([]);
    });
  });

  it("keeps its key if the replay gets lost", async () => {
    await withServer([done, reset, replay], async ({ url }) => {
      const { order, client } = createShop(url, byDefault);
      const { key } = await order.run(cart);
      expect(await order.run(cart)).toMatchObject({ kind: "unknown", key });
      expect(await client.pending(), "it is known to be done").toEqual([]);
      expect(await order.run(cart)).toMatchObject({ kind: "done", key, replayed: true });
    });
  });

  it("is done if its bytes differ and its identity does not: a new payment token", async () => {
    const marked = { "idempotency-mismatch": "true", "idempotent-replayed": "true" };
    await withServer([done, json(201, { id: 1 }, marked)], async ({ url }) => {
      const { client } = createShop(url, byDefault);
      const pay = client.operation("pay", {
        request: (token: string) => ({ path: "pay", json: { token } }),
        instance: () => "cart-1",
        identity: () => "cart-1",
      });
      const { key } = await pay.run("tok_1");
      expect(await pay.run("tok_2")).toMatchObject({ kind: "done", key, value: { id: 1 } });
    });
  });

  it("is kept without body, value and headers", async () => {
    const storage = memoryStorage();
    await withServer([json(201, { secret: "value" })], async ({ url }) => {
      const { order } = createShop(url, { ...byDefault, storage });
      await order.run(cart);
      await expect
        .poll(async () => storage.getItem((await storage.getAllKeys())[0] ?? ""))
        .toContain("settledAt");
      const [name = ""] = await storage.getAllKeys();
      expect(await storage.getItem(name)).not.toMatch(/apple|secret|orders/);
    });
  });

  it("is no longer kept once its time is over and a page lists what is pending", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const storage = memoryStorage();
    await withServer([done], async ({ url }) => {
      await createShop(url, { ...byDefault, storage }).order.run(cart);
      vi.setSystemTime(Date.now() + 25 * HOUR_MS);
      expect(await createShop(url, { storage }).client.pending()).toEqual([]);
      expect(await storage.getAllKeys()).toEqual([]);
    });
  });
});

describe("an operation that makes its key itself", () => {
  const SHOP = "b2c3a1f0-3d3c-4d7c-9d0e-5a1f4d1f2b3c";

  it("has the same key for the same input, on every device", async () => {
    await withServer([done, replay], async ({ url, seen }) => {
      for (const expected of [false, true]) {
        const order = createClient({ ky: { prefix: url } }).operation("order", {
          request: ({ id, lines }: typeof cart) => ({ path: "orders", json: { id, lines } }),
          key: ({ id }) => v5(id, SHOP),
        });
        expect(await order.run(cart)).toMatchObject({ kind: "done", replayed: expected });
      }
      expect(new Set(seen.map(({ key }) => key))).toEqual(new Set([v5(cart.id, SHOP)]));
    });
  });

  it("rejects a run whose key is none, and nothing is sent", async () => {
    await withServer([done], async ({ url, seen }) => {
      const order = createClient({ ky: { prefix: url } }).operation("order", {
        request: () => ({ path: "orders" }),
        key: () => "a b",
      });
      await expect(order.run()).rejects.toThrow("order.key must return 1 to 255 visible ASCII");
      expect(seen).toEqual([]);
    });
  });
});

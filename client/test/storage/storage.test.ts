import { createClient, memoryStorage, webStorage } from "@oncekey/client";
import type { OperationStorage } from "@oncekey/client";
import { afterEach, describe, expect, it, vi } from "vitest";
import { cart, createShop } from "../support/shop.ts";
import { done, json, withServer } from "../support/server.ts";
import { namedStorage, RECORD } from "../support/tabs.ts";
import { createStorage } from "../support/storage.ts";

afterEach(() => vi.unstubAllGlobals());

describe("webStorage", () => {
  it("is localStorage, looked up at each use and not before", async () => {
    const storage = webStorage();
    expect(() => storage.getItem("a")).toThrow();
    vi.stubGlobal("localStorage", createStorage());
    await storage.setItem("a", "1");
    expect(globalThis.localStorage.getItem("a")).toBe("1");
  });

  it.each<[string, PropertyDescriptor]>([
    ["is missing", { value: undefined }],
    [
      "may not even be looked at",
      {
        get() {
          throw new DOMException("denied", "SecurityError");
        },
      },
    ],
  ])("that %s leaves the client working, in memory and with a warning", async (_name, blocked) => {
    vi.stubGlobal("localStorage", undefined);
    Object.defineProperty(globalThis, "localStorage", { configurable: true, ...blocked });
    await withServer([json(503, {}), done], async ({ url }) => {
      const { order, client, warnings } = createShop(url, { storage: webStorage(), attempts: 1 });
      const first = await order.run(cart);
      expect((await client.pending()).map(({ key }) => key)).toEqual([first.key]);
      expect(await order.run(cart)).toMatchObject({ kind: "done", key: first.key });
      expect(warnings.map(({ code }) => code)).toContain("storage_failed");
    });
  });

  it("may not even be looked at: a getter that throws costs nothing but the reload", async () => {
    vi.stubGlobal("localStorage", undefined);
    Object.defineProperty(globalThis, "localStorage", {
      configurable: true,
      get: () => {
        throw new DOMException("blocked", "SecurityError");
      },
    });
    await withServer([done], async ({ url }) => {
      const { order, client, warnings } = createShop(url, { storage: webStorage() });
      expect([await client.pending(), (await order.run(cart)).kind]).toEqual([[], "done"]);
      expect(warnings[0]).toMatchObject({ cause: { name: "SecurityError" } });
    });
  });

  it("that is full does so too", async () => {
    await withServer([json(503, {}), done], async ({ url }) => {
      const { order, warnings } = createShop(url, {
        storage: webStorage({ storage: createStorage(10) }),
        attempts: 1,
      });
      const first = await order.run(cart);
      expect(await order.run(cart)).toMatchObject({ kind: "done", key: first.key });
      expect(warnings).toMatchObject([
        { code: "storage_failed", cause: { name: "QuotaExceededError" } },
      ]);
    });
  });
});

describe("a storage that fails", () => {
  it.each(["getItem", "setItem", "removeItem", "getAllKeys"] as const)(
    "in %s costs no key and no crash",
    async (method) => {
      const inner = memoryStorage();
      const storage: OperationStorage = {
        ...inner,
        [method]: () => Promise.reject(new Error("disk")),
      };
      await withServer([json(503, {}), done], async ({ url, seen }) => {
        const { order, client, warnings } = createShop(url, { storage, attempts: 1 });
        await order.run(cart);
        await client.pending();
        const second = await order.run(cart);
        expect(second.kind).toBe("done");
        expect(new Set(seen.map(({ key }) => key)).size, "one key while the page lives").toBe(1);
        expect(await client.pending()).toEqual([]);
        expect(warnings.map(({ code }) => code)).toContain("storage_failed");
      });
    },
  );
});

describe("a storage that recovers", () => {
  it("is reported again when it fails the next time, and not with every operation", async () => {
    const inner = memoryStorage();
    let isFull = true;
    const storage: OperationStorage = {
      ...inner,
      setItem(name, value) {
        if (isFull) throw new Error("full");
        return inner.setItem(name, value);
      },
    };
    await withServer([done], async ({ url }) => {
      const { order, warnings } = createShop(url, { storage });
      const told: number[] = [];
      for (const full of [true, false, true]) {
        isFull = full;
        await order.run(cart);
        told.push(warnings.length);
      }
      expect(told).toEqual([1, 1, 2]);
    });
  });

  it("is read again: a run goes on with what another tab wrote since", async () => {
    const inner = memoryStorage();
    let isFull = true;
    const storage: OperationStorage = {
      ...inner,
      setItem(name, value) {
        if (isFull) throw new Error("full");
        return inner.setItem(name, value);
      },
    };
    await withServer([json(503, {}), done, json(503, {}), done], async ({ url }) => {
      const [mine, other] = [1, 2].map(() => createShop(url, { storage, attempts: 1 }));
      await mine?.order.run(cart);
      isFull = false;
      expect(await mine?.order.run(cart)).toMatchObject({ kind: "done" });
      const theirs = await other?.order.run(cart);
      expect(await mine?.order.run(cart)).toMatchObject({ kind: "done", key: theirs?.key });
    });
  });
});

describe("a storage that fails in everything, at once and not by a promise,", () => {
  it("costs no key while the page lives", async () => {
    const fail = (): never => {
      throw new Error("disk");
    };
    const storage = { getItem: fail, setItem: fail, removeItem: fail, getAllKeys: fail };
    await withServer([json(503, {}), done, json(503, {})], async ({ url }) => {
      const { order, client } = createShop(url, { storage, attempts: 1 });
      const first = await order.run(cart);
      expect((await client.pending()).map(({ key }) => key)).toEqual([first.key]);
      expect(await order.run(cart)).toMatchObject({ kind: "done", key: first.key });
      expect(await client.pending()).toEqual([]);
      expect((await order.run(cart)).key, "settled: a new key").not.toBe(first.key);
    });
  });
});

describe("entries that are not ours to read", () => {
  const entry = (changes: object): string =>
    JSON.stringify({
      version: 1,
      operation: "order",
      instance: "cart-1",
      identity: "{}",
      key: "kept",
      request: { method: "POST", url: "https://shop.example/orders", headers: {}, body: "{}" },
      createdAt: 1,
      ...changes,
    });

  it.each([
    ["no JSON", "{"],
    ["null", "null"],
    ["without a version", entry({ version: undefined })],
    ["another operation's, under this name", entry({ operation: "refund" })],
    ["without a key", entry({ key: "" })],
    ["without a time", entry({ createdAt: "yesterday" })],
    ["with a lifetime that is none", entry({ expiresAt: "tomorrow" })],
    ["without a request", entry({ request: undefined })],
    ["with a request that is none", entry({ request: null })],
    ["with an owner that is no name", entry({ owner: 1 })],
    ["with a time to remember that is none", entry({ rememberedUntil: "tomorrow" })],
    ["without an address", entry({ request: { method: "POST", headers: {} } })],
    ["without headers", entry({ request: { method: "POST", url: "https://a.example/" } })],
    [
      "with a body that is no text",
      entry({ request: { method: "POST", url: "https://a.example/", headers: {}, body: 1 } }),
    ],
  ])("are passed over with a warning: %s", async (_name, text) => {
    const storage = namedStorage();
    await storage.setItem(RECORD, text);
    await withServer([done], async ({ url }) => {
      const { order, client, warnings } = createShop(url, { storage });
      expect(await client.pending()).toEqual([]);
      expect(warnings).toMatchObject([{ code: "storage_entry_ignored" }]);
      expect((await order.run(cart)).kind).toBe("done");
    });
  });

  it("are left as they are if a later release of this client wrote them, and nothing is sent", async () => {
    const storage = namedStorage();
    const later = entry({ version: 2, request: "in another form" });
    await storage.setItem(RECORD, later);
    await withServer([done], async ({ url, seen }) => {
      const { order, client, warnings } = createShop(url, { storage });
      expect(await client.pending()).toEqual([]);
      const result = await order.run(cart);
      expect(result).toMatchObject({
        kind: "unknown",
        key: "kept",
        earlier: true,
        canResume: false,
        attempts: 0,
      });
      expect(await (result.kind === "unknown" && result.resume())).toMatchObject({
        kind: "unknown",
        attempts: 0,
      });
      expect(await storage.getItem(RECORD)).toBe(later);
      expect(seen).toEqual([]);
      expect(warnings).toMatchObject([
        { code: "storage_entry_ignored", message: expect.stringContaining("later version") },
      ]);
      await (result.kind === "unknown" && result.forget());
      expect((await order.run(cart)).kind, "given up by the shopper").toBe("done");
    });
  });

  it("do not prevent that our own are read", async () => {
    const storage = namedStorage();
    await storage.setItem(RECORD, entry({}));
    const pending = await createClient({ storage }).pending();
    expect(pending).toMatchObject([{ operation: "order", instance: "cart-1", key: "kept" }]);
  });

  it("that were ours cost no key while the page lives", async () => {
    const storage = namedStorage();
    await withServer([json(503, {}), done], async ({ url }) => {
      const { order } = createShop(url, { storage, attempts: 1 });
      const first = await order.run(cart);
      await storage.setItem(RECORD, "{");
      expect(await order.run(cart)).toMatchObject({ kind: "done", key: first.key });
    });
  });

  it("of other programs are left alone", async () => {
    const storage = namedStorage();
    await storage.setItem("cart", "{}");
    const warnings: unknown[] = [];
    const client = createClient({ storage, onWarning: (warning) => warnings.push(warning) });
    expect([await client.pending(), warnings, await storage.getItem("cart")]).toEqual([
      [],
      [],
      "{}",
    ]);
  });
});

/** The client removes leftovers from the storage, also in a page that never lists `pending()`. */
import { createClient, memoryStorage } from "@oncekey/client";
import type { OperationStorage } from "@oncekey/client";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createHeld } from "../support/held.ts";
import { done, reset, withServer } from "../support/server.ts";
import { createShop } from "../support/shop.ts";

const DAY_MS = 86_400_000;

beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"] }));
afterEach(() => void vi.useRealTimers());

const carts = Array.from({ length: 30 }, (_, id) => ({ id: `cart-${id}`, lines: ["apple"] }));

describe("records that are no longer remembered", () => {
  it("go after the first settled run of a later page", async () => {
    const storage = memoryStorage();
    const options = { storage, rememberMs: undefined };
    await withServer([done], async ({ url }) => {
      const early = createShop(url, options);
      for (const cart of carts) await early.order.run(cart);
      expect(await storage.getAllKeys()).toHaveLength(carts.length);
      vi.setSystemTime(Date.now() + DAY_MS);
      const late = createShop(url, options);
      await late.order.run({ id: "cart-new", lines: ["pear"] });
      await expect.poll(() => storage.getAllKeys()).toHaveLength(1);
    });
  });

  it("leave what is unresolved, and what is still remembered", async () => {
    const storage = memoryStorage();
    const options = { storage, rememberMs: undefined, attempts: 1 };
    await withServer([done, reset, done], async ({ url }) => {
      const early = createShop(url, options);
      await early.order.run({ id: "old", lines: [] });
      vi.setSystemTime(Date.now() + DAY_MS);
      const { key } = await early.order.run({ id: "unresolved", lines: [] });
      await early.order.run({ id: "remembered", lines: [] });
      const late = createShop(url, options);
      await late.order.run({ id: "new", lines: [] });
      await expect.poll(() => storage.getAllKeys()).toHaveLength(3);
      expect(await late.client.pending()).toMatchObject([{ key }]);
    });
  });

  it("are looked for once in a page, not at every run", async () => {
    const inner = memoryStorage();
    const getAllKeys = vi.fn(() => inner.getAllKeys());
    await withServer([done], async ({ url }) => {
      const { order } = createShop(url, { storage: { ...inner, getAllKeys } });
      for (const cart of carts) await order.run(cart);
      expect(getAllKeys).toHaveBeenCalledTimes(1);
    });
  });
});

describe("bytes whose record was never written", () => {
  const file = new Blob(["a file"]);

  function openPage(url: string, storage: OperationStorage) {
    const client = createClient({ ky: { prefix: url }, attempts: 1, storage, rememberMs: 0 });
    const upload = client.operation("upload", {
      request: (body: Blob) => ({ path: "files", body }),
      instance: () => "file",
      identity: () => "file",
    });
    return { client, upload };
  }

  /** A page that ends between the two writes. */
  async function endEarly(url: string, storage: OperationStorage): Promise<void> {
    const written = Promise.withResolvers<void>();
    const page = openPage(url, {
      ...storage,
      setItem() {
        written.resolve();
        return new Promise(() => undefined);
      },
    });
    void page.upload.run(file);
    await written.promise;
    expect(await storage.getAllKeys()).toHaveLength(1);
  }

  it("go when a later page lists what is pending", async () => {
    const storage = memoryStorage();
    await withServer([done], async ({ url }) => {
      await endEarly(url, storage);
      expect(await openPage(url, storage).client.pending()).toEqual([]);
      await expect.poll(() => storage.getAllKeys()).toEqual([]);
    });
  });

  it("go after the first settled run of a later page, and those of a record stay", async () => {
    const storage = memoryStorage();
    await withServer([reset, done], async ({ url }) => {
      await endEarly(url, storage);
      const { client, upload } = openPage(url, storage);
      const { key } = await upload.run(file);
      expect(await storage.getAllKeys()).toHaveLength(3);
      expect(await client.pending()).toMatchObject([{ key, canResume: true }]);
      await expect.poll(() => storage.getAllKeys()).toHaveLength(2);
      const [left] = await openPage(url, storage).client.pending();
      expect((await left?.resume())?.kind).toBe("done");
      await expect.poll(() => storage.getAllKeys()).toEqual([]);
    });
  });

  it("stay while a run of this page is between the two writes", async () => {
    const storage = memoryStorage();
    const gate = createHeld();
    await withServer([reset, done], async ({ url }) => {
      const written = Promise.withResolvers<void>();
      const go = Promise.withResolvers<void>();
      const { client, upload } = openPage(url, {
        ...storage,
        async setItem(name, value) {
          written.resolve();
          await go.promise;
          await storage.setItem(name, value);
        },
      });
      const running = upload.run(file);
      await written.promise;
      expect(await client.pending()).toEqual([]);
      go.resolve();
      await running;
      gate.go();
      const [left] = await openPage(url, storage).client.pending();
      expect((await left?.resume())?.kind).toBe("done");
    });
  });

  it("are removed at once if another client has taken the place", async () => {
    const storage = memoryStorage();
    await withServer([reset, done], async ({ url }) => {
      const theirs = openPage(url, storage);
      let isFirst = true;
      const mine = openPage(url, {
        ...storage,
        async setBytes(name, bytes) {
          await storage.setBytes?.(name, bytes);
          if (isFirst) await theirs.upload.run(file);
          isFirst = false;
        },
      });
      const result = await mine.upload.run(file);
      expect(result).toMatchObject({ kind: "done", attempts: 1 });
      await expect.poll(() => storage.getAllKeys()).toEqual([]);
    });
  });
});

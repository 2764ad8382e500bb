import { indexedDbStorage } from "@oncekey/client";
import { storageContract } from "@oncekey/client/storage-contract";
import * as implementation from "fake-indexeddb";
import { deleteDB, openDB } from "idb";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { cart, createShop } from "../support/shop.ts";
import { done, json, withServer } from "../support/server.ts";

// idb, which this test opens databases with, needs the classes of IndexedDB.
Object.assign(globalThis, implementation);
const { IDBFactory } = implementation;

// IndexedDB's specification, written in JavaScript; in Chromium's own the same contract is checked in the browser's tests.
beforeEach(() => vi.stubGlobal("indexedDB", new IDBFactory()));
afterEach(() => vi.unstubAllGlobals());

describe("indexedDbStorage keeps the contract of storages:", () => {
  let name = "";
  const checks = storageContract({
    open: () => indexedDbStorage({ name: (name = crypto.randomUUID()) }),
    reopen: () => indexedDbStorage({ name }),
  });
  for (const { title, run } of checks) it(title, run);
});

describe("indexedDbStorage", () => {
  it.each([
    [{ name: "" }, /name must be a string that is not empty, got ""/],
    [{ database: "shop" }, /unknown option database; allowed are name/],
  ])("refuses %j by name", (options, message) => {
    expect(() => indexedDbStorage(options as never)).toThrow(message);
  });

  it("touches nothing until it is used", async () => {
    vi.stubGlobal("indexedDB", undefined);
    const storage = indexedDbStorage();
    vi.stubGlobal("indexedDB", new IDBFactory());
    expect(await storage.getAllKeys()).toEqual([]);
  });

  it("asks for what it writes to be on the disk before it goes on", async () => {
    const transaction = vi.spyOn(implementation.IDBDatabase.prototype, "transaction");
    const storage = indexedDbStorage();
    await storage.setItem("order", "1");
    await storage.addItem?.("other", "1");
    await storage.removeItem("order");
    const writing = transaction.mock.calls.filter(([, mode]) => mode === "readwrite");
    expect(writing.map(([, , options]) => options)).toEqual(
      Array.from({ length: 3 }, () => ({ durability: "strict" })),
    );
    transaction.mockRestore();
  });

  it("lets another tab delete the database, and opens a new one afterwards", async () => {
    const storage = indexedDbStorage();
    await storage.setItem("order", "1");
    const blocked = vi.fn();
    await deleteDB("oncekey", { blocked });
    expect(blocked).not.toHaveBeenCalled();
    expect(await storage.getItem("order")).toBeNull();
    await storage.setItem("order", "2");
    expect(await storage.getItem("order")).toBe("2");
  });

  it("goes on with a database that a later release has changed", async () => {
    const storage = indexedDbStorage();
    await storage.setItem("order", "1");
    (
      await openDB("oncekey", 2, { upgrade: (database) => void database.createObjectStore("more") })
    ).close();
    expect(await storage.getItem("order")).toBe("1");
  });

  it.each(["InvalidStateError", "UnknownError"])(
    "opens a connection that the browser has lost once more: %s",
    async (error) => {
      const storage = indexedDbStorage();
      await storage.setItem("order", "1");
      const lose = vi.spyOn(IDBDatabase.prototype, "transaction").mockImplementationOnce(() => {
        throw new DOMException("the connection was lost", error);
      });
      expect(await storage.getItem("order")).toBe("1");
      expect(lose).toHaveBeenCalledTimes(2);
      lose.mockRestore();
    },
  );

  it("tries again after it could not be opened", async () => {
    const storage = indexedDbStorage();
    const open = vi.spyOn(IDBFactory.prototype, "open").mockImplementationOnce(() => {
      throw new DOMException("denied", "SecurityError");
    });
    await expect(storage.getItem("order")).rejects.toThrow("denied");
    expect(await storage.getItem("order")).toBeNull();
    open.mockRestore();
  });

  it("that another tab holds shut leaves the client working, in memory", async () => {
    const other = await openDB("oncekey", 1);
    other.addEventListener("versionchange", (event) => event.stopImmediatePropagation());
    const deleted = deleteDB("oncekey");
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    await withServer([json(503, {}), done], async ({ url }) => {
      const { order, warnings } = createShop(url, { storage: indexedDbStorage(), attempts: 1 });
      const settled = order
        .run(cart)
        .then(async ({ key }) => [key, await order.run(cart)] as const);
      const timer = setInterval(() => vi.advanceTimersByTime(1_000), 5);
      const [key, result] = await settled.finally(() => clearInterval(timer));
      expect(result).toMatchObject({ kind: "done", key });
      expect(warnings[0]?.cause).toEqual(new Error("no whole answer within 3000 ms"));
    });
    vi.useRealTimers();
    other.close();
    await deleted;
  });

  it("of something else is left as it is, and the client works in memory", async () => {
    const other = await openDB("shop", 1, {
      upgrade: (database) => void database.createObjectStore("carts"),
    });
    await withServer([done], async ({ url }) => {
      const { order, warnings } = createShop(url, { storage: indexedDbStorage({ name: "shop" }) });
      expect((await order.run(cart)).kind).toBe("done");
      expect(warnings[0]).toMatchObject({ cause: { name: "NotFoundError" } });
    });
    expect([...other.objectStoreNames]).toEqual(["carts"]);
    other.close();
  });

  it.each<[string, () => unknown]>([
    ["is missing, as in some private modes", () => undefined],
    [
      "refuses to open, as where storage is blocked",
      () => ({
        open: () => {
          throw new DOMException("denied", "SecurityError");
        },
      }),
    ],
  ])("that %s leaves the client working, in memory", async (_name, make) => {
    vi.stubGlobal("indexedDB", make());
    await withServer([json(503, {}), done], async ({ url }) => {
      const { order, warnings, client } = createShop(url, {
        storage: indexedDbStorage(),
        attempts: 1,
      });
      expect(await client.pending()).toEqual([]);
      const { key } = await order.run(cart);
      expect(await order.run(cart)).toMatchObject({ kind: "done", key });
      expect(warnings[0]).toMatchObject({ code: "storage_failed" });
    });
  });
});

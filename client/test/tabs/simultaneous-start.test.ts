import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { indexedDbStorage, memoryStorage } from "@oncekey/client";
import type { OperationStorage } from "@oncekey/client";
import { fileStorage } from "@oncekey/client/node";
import * as implementation from "fake-indexeddb";
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { withEffects } from "../support/effects.ts";
import { done, withServer } from "../support/server.ts";
import { cart, createShop } from "../support/shop.ts";
import { namedStorage, RECORD } from "../support/tabs.ts";

Object.assign(globalThis, implementation);

const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

// As on a plain-http origin, and as it is between processes.
beforeEach(() => vi.stubGlobal("navigator", {}));
afterEach(() => vi.unstubAllGlobals());

const TABS = 4;

async function onFiles(): Promise<() => OperationStorage> {
  const folder = await mkdtemp(join(tmpdir(), "oncekey-"));
  folders.push(folder);
  return () => fileStorage(folder);
}

function onIndexedDb(): () => OperationStorage {
  const name = crypto.randomUUID();
  return () => indexedDbStorage({ name });
}

/** A place that all tabs find empty before any of them writes. */
function onBarrier(): () => OperationStorage {
  const items = new Map<string, string>();
  const { promise: allHaveRead, resolve } = Promise.withResolvers<void>();
  let reads = 0;
  const storage: OperationStorage = {
    async getItem(name) {
      const value = items.get(name) ?? null;
      if ((reads += 1) === TABS) resolve();
      await allHaveRead;
      return value;
    },
    addItem(name, value) {
      if (items.has(name)) return false;
      items.set(name, value);
      return true;
    },
    setItem: (name, value) => void items.set(name, value),
    removeItem: (name) => void items.delete(name),
    getAllKeys: () => [...items.keys()],
  };
  return () => storage;
}

describe("contexts that start the same operation at once, without taking turns,", () => {
  it.each<[string, () => Promise<() => OperationStorage> | (() => OperationStorage)]>([
    ["fileStorage", onFiles],
    ["indexedDbStorage", onIndexedDb],
    ["one of your own that adds", onBarrier],
  ])("send one key, that of the first to write it down: %s", async (_name, make) => {
    const open = await make();
    await withEffects(async ({ url, seen, effects, answer }) => {
      const shops = Array.from({ length: TABS }, () => createShop(url, { storage: open() }));
      const runs = shops.map(({ order }) => order.run(cart));
      await expect.poll(() => seen.length).toBe(TABS);
      answer();
      const results = await Promise.all(runs);
      expect(results.map(({ kind }) => kind)).toEqual(Array(TABS).fill("done"));
      expect([effects.size, new Set(results.map(({ key }) => key)).size]).toEqual([1, 1]);
      await expect.poll(() => open().getAllKeys()).toEqual([]);
    });
  });

  it("place one order if their inputs differ: the others learn of it and start nothing", async () => {
    const open = onBarrier();
    await withServer([done], async ({ url, seen }) => {
      const carts = ["apple", "pear", "fig", "plum"].map((line) => ({ ...cart, lines: [line] }));
      const options = { storage: open(), onChange: "resolve-first" } as const;
      const runs = carts.map((one) => createShop(url, options).order.run(one));
      const results = await Promise.all(runs);
      expect(new Set(results.map(({ key }) => key)).size).toBe(1);
      expect(results.filter(({ kind }) => kind === "done")).toHaveLength(1);
      for (const other of results.filter(({ kind }) => kind !== "done")) {
        expect(other).toMatchObject({ kind: "rejected", earlierResult: { kind: "done" } });
      }
      expect(new Set(seen.map(({ body }) => body)).size).toBe(1);
    });
  });
});

describe("a storage that cannot add", () => {
  it("costs no key while the page lives", async () => {
    const fail = (): never => {
      throw new Error("disk");
    };
    const storage = { ...memoryStorage(), addItem: fail };
    await withServer([(response) => response.destroy(), done], async ({ url }) => {
      const { order, warnings } = createShop(url, { storage, attempts: 1 });
      const { key } = await order.run(cart);
      expect(await order.run(cart)).toMatchObject({ kind: "done", key });
      expect(warnings).toMatchObject([{ code: "storage_failed", cause: { message: "disk" } }]);
    });
  });

  it("because of what cannot be read writes over it", async () => {
    const place = namedStorage();
    const storage: OperationStorage = { ...place, addItem: () => false };
    await place.setItem(RECORD, "{");
    await withServer([(response) => response.destroy()], async ({ url }) => {
      const { key } = await createShop(url, { storage, attempts: 1 }).order.run(cart);
      const [left] = await createShop(url, { storage }).client.pending();
      expect(left?.key).toBe(key);
    });
  });
});

import { afterEach, describe, expect, it, vi } from "vitest";
import { done, reset, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";
import { cart } from "../support/shop.ts";
import { createGate, openBrowser, RECORD } from "../support/tabs.ts";

afterEach(() => vi.unstubAllGlobals());

const gated = (gate: Promise<void>, reply: Reply): Reply => {
  return (response, seen) => gate.then(() => reply(response, seen));
};

describe("where nothing can be handed over", () => {
  it.each<[string, unknown]>([
    ["there is no BroadcastChannel", undefined],
    [
      "the winner died before it told anybody",
      class extends EventTarget {
        postMessage(): void {}
        close(): void {}
      },
    ],
  ])("the waiting tab asks the server, with the same key: %s", async (_name, channel) => {
    vi.stubGlobal("BroadcastChannel", channel);
    const { storage, openTab, waiting } = openBrowser();
    const { opened, open } = createGate();
    await withServer([gated(opened, done), done], async ({ url, seen }) => {
      const runs = [openTab(url), openTab(url), openTab(url)].map(({ order }) => order.run(cart));
      await waiting(2);
      open();
      const results = await Promise.all(runs);
      expect(results.map(({ kind }) => kind)).toEqual(["done", "done", "done"]);
      expect(new Set(seen.map(({ key }) => key)).size, "one key").toBe(1);
      await expect.poll(() => storage.getAllKeys()).toEqual([]);
      const next = await openTab(url).order.run(cart);
      expect(next.key, "and a later click has its own").not.toBe(results[0]?.key);
    });
  });

  it("what was settled, and left for a tab that died as well, is neither run again nor kept", async () => {
    const { storage, openTab } = openBrowser();
    await withServer([reset, done], async ({ url }) => {
      const { order, client } = openTab(url, { attempts: 1 });
      const { key } = await order.run(cart);
      const left = JSON.parse((await storage.getItem(RECORD)) ?? "null") as object;
      await storage.setItem(RECORD, JSON.stringify({ ...left, settledAt: Date.now() }));
      expect((await order.run(cart)).key).not.toBe(key);
      await storage.setItem(RECORD, JSON.stringify({ ...left, settledAt: Date.now() }));
      const kept = () => client.pending().then(() => storage.getAllKeys());
      await expect.poll(kept).toEqual([]);
    });
  });

  it("a message of another version is passed over", async () => {
    const { channelName, openTab, waiting } = openBrowser();
    const { opened, open } = createGate();
    await withServer([gated(opened, done)], async ({ url, seen }) => {
      const runs = [openTab(url), openTab(url)].map(({ order }) => order.run(cart));
      await waiting(1);
      const channel = new BroadcastChannel(channelName);
      for (const message of ["done", null, {}, { identity: "other", key: "k", result: {} }]) {
        channel.postMessage(message);
      }
      channel.close();
      open();
      const [first, second] = await Promise.all(runs);
      expect([second, seen.length]).toEqual([first, 1]);
    });
  });
});

describe("a tab that is frozen while it holds its turn", () => {
  it("does not hold up the others, who go on with its key after their deadline", async () => {
    const { storage, lockName, openTab } = openBrowser();
    await withServer([reset, done], async ({ url, seen }) => {
      const first = await openTab(url, { attempts: 1 }).order.run(cart);
      const { opened: thawed, open: thaw } = createGate();
      const frozen = navigator.locks.request(lockName, () => thawed);
      const { order, client } = openTab(url, { deadlineMs: 2_000 });
      expect(await order.run(cart)).toMatchObject({ kind: "done", key: first.key });
      expect(seen).toHaveLength(2);
      thaw();
      await frozen;
      expect(await client.pending()).toEqual([]);
      const kept = () => client.pending().then(() => storage.getAllKeys());
      await expect.poll(kept).toEqual([]);
    });
  });

  it("and that has written nothing down yet keeps the others from sending", async () => {
    const { lockName, openTab } = openBrowser();
    await withServer([done], async ({ url, seen }) => {
      const { opened: thawed, open: thaw } = createGate();
      const frozen = navigator.locks.request(lockName, () => thawed);
      const result = await openTab(url, { deadlineMs: 20 }).order.run(cart);
      expect(result).toMatchObject({ kind: "rejected", attempts: 0, error: { code: undefined } });
      expect(seen).toEqual([]);
      thaw();
      await frozen;
      expect((await openTab(url).order.run(cart)).kind).toBe("done");
    });
  });

  it("a run that is stopped before it has waited at all sends nothing", async () => {
    const { lockName, openTab } = openBrowser();
    await withServer([done], async ({ url, seen }) => {
      const { opened: thawed, open: thaw } = createGate();
      const frozen = navigator.locks.request(lockName, () => thawed);
      const result = await openTab(url).order.run(cart, { signal: AbortSignal.abort("closed") });
      expect(result).toMatchObject({ kind: "rejected", error: { cause: "closed" } });
      expect(seen).toEqual([]);
      thaw();
      await frozen;
    });
  });
});

describe("without Web Locks", () => {
  const refused = {
    request: () => Promise.reject(new DOMException("opaque origin", "SecurityError")),
    query: () => Promise.reject(new DOMException("opaque origin", "SecurityError")),
  };

  it.each([
    ["as on a plain-http origin", {}],
    ["as in a frame that has no origin", { locks: refused }],
  ])("the record keeps the second tab on the same key: %s", async (_name, navigator) => {
    vi.stubGlobal("navigator", navigator);
    const { storage, openTab } = openBrowser();
    const { opened, open } = createGate();
    await withServer([gated(opened, done), done], async ({ url, seen }) => {
      const first = openTab(url).order.run(cart);
      await expect.poll(() => seen.length).toBe(1);
      const second = await openTab(url).order.run(cart);
      open();
      expect(second).toMatchObject({ kind: "done", key: (await first).key });
      expect(seen.map(({ key }) => key)).toEqual([second.key, second.key]);
      await expect.poll(() => storage.getAllKeys()).toEqual([]);
      expect(await openTab(url).client.pending()).toEqual([]);
    });
  });

  it("what the page's own functions throw is thrown, once", async () => {
    const { openTab } = openBrowser();
    const key = vi.fn<() => string>(() => "");
    await expect(openTab("https://shop.example/", { key }).order.run(cart)).rejects.toThrow(
      TypeError,
    );
    expect(key).toHaveBeenCalledTimes(1);
  });
});

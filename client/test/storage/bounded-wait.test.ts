import { memoryStorage } from "@oncekey/client";
import { sealBody } from "@oncekey/client/stored-body";
import { afterEach, describe, expect, it, vi } from "vitest";
import { done, withServer } from "../support/server.ts";
import { cart, createShop } from "../support/shop.ts";
import { createGate, openBrowser } from "../support/tabs.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const echo: typeof globalThis.fetch = async (input, init) => {
  const key = new Request(input, init).headers.get("idempotency-key") ?? "";
  return Response.json({ id: 1 }, { headers: { "idempotency-key": key } });
};

describe("a storage that hangs", () => {
  it("costs one bounded wait for the whole client, and one warning", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    let calls = 0;
    const hang = (): Promise<never> => {
      calls += 1;
      return new Promise(() => undefined);
    };
    const storage = { getItem: hang, setItem: hang, removeItem: hang, getAllKeys: hang };
    const options = { storage, ky: { fetch: echo } };
    const { order, client, warnings } = createShop("https://shop.example/", options);
    const first = order.run(cart);
    await vi.advanceTimersByTimeAsync(3_000);
    expect((await first).kind).toBe("done");
    expect((await order.run({ ...cart, id: "cart-2" })).kind).toBe("done");
    expect(await client.pending()).toEqual([]);
    expect([calls, warnings.map(({ code }) => code)]).toEqual([1, ["storage_failed"]]);
  });
});

describe("a BroadcastChannel whose constructor throws", () => {
  it("costs no run", async () => {
    vi.stubGlobal(
      "BroadcastChannel",
      vi.fn<() => void>(function refuse() {
        throw new DOMException("opaque origin", "SecurityError");
      }),
    );
    const { openTab } = openBrowser();
    await withServer([done], async ({ url }) => {
      expect((await openTab(url).order.run(cart)).kind).toBe("done");
    });
  });
});

describe("without Web Locks, a seal that takes its time", () => {
  it("leaves no gap for a second key: two tabs that start at once have one", async () => {
    vi.stubGlobal("navigator", {});
    const storage = memoryStorage();
    const { opened, open } = createGate();
    const storedBody = sealBody({
      async seal(body) {
        await opened;
        return body;
      },
      open: (text) => text,
    });
    await withServer([done], async ({ url, seen }) => {
      const options = { storage, storedBody, rememberMs: undefined };
      const runs = [1, 2].map(() => createShop(url, options).order.run(cart));
      open();
      const results = await Promise.all(runs);
      expect(results.map(({ kind }) => kind)).toEqual(["done", "done"]);
      expect(new Set(seen.map(({ key }) => key)).size).toBe(1);
    });
  });
});

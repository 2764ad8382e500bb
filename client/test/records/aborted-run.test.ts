import { memoryStorage } from "@oncekey/client";
import type { ClientOptions } from "@oncekey/client";
import { describe, expect, it } from "vitest";
import { done, problem, withServer } from "../support/server.ts";
import { cart, createShop } from "../support/shop.ts";
import { createGate } from "../support/tabs.ts";

/** A storage that is read once the gate is open, and the records that are written to it. */
function holdReads() {
  const { opened, open } = createGate();
  const inner = memoryStorage();
  const written: string[] = [];
  const storage: ClientOptions["storage"] = {
    ...inner,
    async getItem(name) {
      await opened;
      return inner.getItem(name);
    },
    setItem(name, value) {
      written.push(value);
      return inner.setItem(name, value);
    },
  };
  return { storage, written, open };
}

const stopped = { kind: "rejected", attempts: 0, error: { message: "Stopped; nothing was sent" } };

// A page that ends before it removes such a record leaves it to the next page, which sends it.
describe("a run that aborts before its key is written", () => {
  it("by its signal writes no record", async () => {
    await withServer([done], async ({ url, seen }) => {
      const { storage, written, open } = holdReads();
      const controller = new AbortController();
      const run = createShop(url, { storage }).order.run(cart, { signal: controller.signal });
      controller.abort("closed");
      open();
      expect(await run).toMatchObject({ ...stopped, error: { cause: "closed" } });
      expect([written, seen]).toEqual([[], []]);
    });
  });

  it("by forgetAll writes no record", async () => {
    await withServer([done], async ({ url, seen }) => {
      const { storage, written, open } = holdReads();
      const { order, client } = createShop(url, { storage });
      const run = order.run(cart);
      const forgotten = client.forgetAll();
      open();
      expect(await run).toMatchObject(stopped);
      await forgotten;
      expect([written, seen]).toEqual([[], []]);
    });
  });

  it("as another user signs in keeps the key that is remembered in its place", async () => {
    await withServer([done], async ({ url, seen }) => {
      let user = "bob";
      const { storage, open } = holdReads();
      const { order } = createShop(url, { storage, owner: () => user, rememberMs: 60_000 });
      open();
      const { key } = await order.run(cart);
      const other = order.run({ ...cart, lines: ["pear"] });
      user = "alice";
      expect(await other).toMatchObject(stopped);
      user = "bob";
      expect(await order.run(cart)).toMatchObject({ kind: "done", key });
      expect(new Set(seen.map((request) => request.headers["idempotency-key"])).size).toBe(1);
    });
  });

  it("writes no second key if the clock turns out wrong", async () => {
    const date = { date: new Date(Date.now() + 3 * 86_400_000).toUTCString() };
    await withServer([problem(412, "idempotency_key_expired", date)], async ({ url, seen }) => {
      const { storage, written, open } = holdReads();
      open();
      const controller = new AbortController();
      const { signal } = controller;
      // The warning comes before the second key.
      const onWarning = (): void => controller.abort();
      const { order } = createShop(url, { storage, onWarning });
      expect(await order.run(cart, { signal })).toMatchObject({
        kind: "rejected",
        error: { code: "idempotency_key_expired" },
      });
      expect([written.length, seen.length]).toEqual([1, 1]);
    });
  });
});

import { createClient, memoryStorage } from "@oncekey/client";
import type { OperationStorage } from "@oncekey/client";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { cart, createShop } from "../support/shop.ts";
import { done, json, problem, reset, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";

/** A storage that lets a test see and hold what is written. */
function watched(): OperationStorage & { readonly log: string[]; hold?: Promise<void> } {
  const inner = memoryStorage();
  const log: string[] = [];
  const storage: OperationStorage & { readonly log: string[]; hold?: Promise<void> } = {
    log,
    ...inner,
    async setItem(name, value) {
      await storage.hold;
      log.push("written");
      await inner.setItem(name, value);
    },
    async removeItem(name) {
      log.push("removed");
      await inner.removeItem(name);
    },
  };
  return storage;
}

describe("write-ahead", () => {
  it("the operation is in the storage before its first byte leaves, and out of it when it is settled", async () => {
    const storage = watched();
    const gate = Promise.withResolvers<void>();
    storage.hold = gate.promise;
    const fetch: typeof globalThis.fetch = (input, init) => {
      storage.log.push("sent");
      return globalThis.fetch(input, init);
    };
    await withServer([done], async ({ url }) => {
      const run = createShop(url, { storage, ky: { fetch } }).order.run(cart);
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(storage.log, "nothing is sent while it is not written").toEqual([]);
      gate.resolve();
      expect((await run).kind).toBe("done");
      await expect.poll(() => storage.log).toEqual(["written", "sent", "removed"]);
      expect(await storage.getAllKeys()).toEqual([]);
    });
  });

  it("keeps what sending the same request again needs", async () => {
    const storage = memoryStorage();
    await withServer([json(500, {})], async ({ url }) => {
      const result = await createShop(url, { storage, attempts: 1 }).order.run(cart);
      const [name = ""] = await storage.getAllKeys();
      expect(JSON.parse((await storage.getItem(name)) ?? "")).toMatchObject({
        version: 1,
        operation: "order",
        instance: "cart-1",
        key: result.key,
        request: { method: "POST", url: `${url}orders`, body: '{"lines":["apple"]}' },
        createdAt: expect.any(Number),
      });
    });
  });
});

describe("after a reload", () => {
  it("the unfinished operation is found and settled with the same key and bytes, without its definition", async () => {
    const storage = memoryStorage();
    await withServer([json(503, {}), done], async ({ url, seen }) => {
      const before = await createShop(url, { storage, attempts: 1 }).order.run(cart);
      const reloaded = createClient({ ky: { prefix: url }, storage });
      const [pending, ...others] = await reloaded.pending();
      expect([pending?.operation, pending?.instance, pending?.key, others]).toEqual([
        "order",
        "cart-1",
        before.key,
        [],
      ]);
      expect(Date.now() - (pending?.createdAt.getTime() ?? 0)).toBeLessThan(10_000);
      expect(await pending?.resume()).toMatchObject({
        kind: "done",
        key: before.key,
        value: { id: 1 },
      });
      expect(seen[1]).toMatchObject({ key: before.key, body: seen[0]?.body, method: "POST" });
      expect(await reloaded.pending()).toEqual([]);
    });
  });

  it("a new run of the same cart is the same operation", async () => {
    const storage = memoryStorage();
    await withServer([json(503, {}), done], async ({ url }) => {
      const before = await createShop(url, { storage, attempts: 1 }).order.run(cart);
      expect(await createShop(url, { storage }).order.run(cart)).toMatchObject({
        kind: "done",
        key: before.key,
      });
    });
  });

  it("what is unfinished is listed from the oldest on, wherever the storage keeps it", async () => {
    const inner = memoryStorage();
    const storage = {
      ...inner,
      getAllKeys: async () => [...(await inner.getAllKeys())].toReversed(),
    };
    await withServer([json(503, {})], async ({ url }) => {
      const { order } = createShop(url, { storage, attempts: 1 });
      const startedAt = Date.now();
      for (const id of ["first", "second"]) {
        vi.spyOn(Date, "now").mockReturnValue(id === "first" ? startedAt : startedAt + 1);
        await order.run({ ...cart, id });
      }
      vi.restoreAllMocks();
      const pending = await createShop(url, { storage }).client.pending();
      expect(pending.map(({ instance }) => instance)).toEqual(["first", "second"]);
    });
  });

  it("a pending operation that is forgotten frees its instance", async () => {
    const storage = memoryStorage();
    await withServer([json(503, {}), done], async ({ url }) => {
      const before = await createShop(url, { storage, attempts: 1 }).order.run(cart);
      const { client, order } = createShop(url, { storage });
      await (await client.pending())[0]?.forget();
      expect(await client.pending()).toEqual([]);
      expect((await order.run(cart)).key).not.toBe(before.key);
    });
  });
});

describe("the lifetime that the server has named", () => {
  it("ends the use of a key: nothing more is sent, and only forgetting it frees the instance", async () => {
    const brief: Reply = problem(503, "idempotency_unavailable", {
      "idempotency-key-lifetime": "0",
    });
    await withServer([brief, done], async ({ url, seen }) => {
      const { order } = createShop(url, { attempts: 1 });
      const first = await order.run(cart);
      const second = await order.run(cart);
      expect(second).toMatchObject({
        kind: "unknown",
        key: first.key,
        attempts: 0,
        error: { code: "idempotency_key_expired", nextAction: "fix" },
      });
      expect(seen).toHaveLength(1);
      if (second.kind === "unknown") await second.forget();
      expect((await order.run(cart)).kind).toBe("done");
    });
  });

  it("counts from the key's beginning, and no later answer prolongs it", async () => {
    const unavailable = (seconds: string): Reply =>
      problem(503, "idempotency_unavailable", { "idempotency-key-lifetime": seconds });
    const storage = memoryStorage();
    const record = async () => {
      const [name = ""] = await storage.getAllKeys();
      return JSON.parse((await storage.getItem(name)) ?? "") as Record<string, number>;
    };
    await withServer([unavailable("100"), unavailable("3600")], async ({ url }) => {
      const { order } = createShop(url, { attempts: 1, storage });
      await order.run(cart);
      const { createdAt = 0, expiresAt } = await record();
      expect(expiresAt).toBe(createdAt + 100_000);
      await order.run(cart);
      expect((await record())["expiresAt"]).toBe(expiresAt);
    });
  });

  it("counts from there also in a later run, because a lost reply may have named it first", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    onTestFinished(() => void vi.useRealTimers());
    const unavailable = problem(503, "idempotency_unavailable", {
      "idempotency-key-lifetime": "100",
    });
    const storage = memoryStorage();
    await withServer([reset, unavailable], async ({ url }) => {
      const { order } = createShop(url, { attempts: 1, storage });
      const begunAt = Date.now();
      await order.run(cart);
      vi.setSystemTime(begunAt + 5_000);
      await order.run(cart);
      const [name = ""] = await storage.getAllKeys();
      expect(JSON.parse((await storage.getItem(name)) ?? "")).toMatchObject({
        createdAt: begunAt,
        expiresAt: begunAt + 100_000,
      });
    });
  });
});

describe("a lifetime that no clock can hold", () => {
  it("is none, and the operation is still found after a reload", async () => {
    const storage = memoryStorage();
    const lifetime = { "idempotency-key-lifetime": "9".repeat(400) };
    await withServer([problem(503, "idempotency_unavailable", lifetime)], async ({ url }) => {
      const { key } = await createShop(url, { attempts: 1, storage }).order.run(cart);
      const pending = await createShop(url, { storage }).client.pending();
      expect(pending.map((one) => one.key)).toEqual([key]);
    });
  });
});

describe("orThrow", () => {
  it("returns the value, or throws the error of any other kind", async () => {
    await withServer([done, json(402, { message: "declined" }), json(503, {})], async ({ url }) => {
      const { order } = createShop(url, { attempts: 1 });
      expect(await order.run.orThrow(cart)).toEqual({ id: 1 });
      await expect(order.run.orThrow(cart)).rejects.toMatchObject({
        message: "declined",
        status: 402,
      });
      await expect(order.run.orThrow(cart)).rejects.toMatchObject({ code: "outcome_unknown" });
    });
  });
});

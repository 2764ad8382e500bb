import { memoryStorage } from "@oncekey/client";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { cart, createShop } from "../support/shop.ts";
import { done, problem, reset, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";

const HOUR_MS = 3_600_000;
const once = { attempts: 1 };

beforeEach(() => vi.useFakeTimers({ toFake: ["Date"], now: new Date("2026-01-02T00:00:00Z") }));
afterEach(() => vi.useRealTimers());

const pass = (ms: number): void => void vi.setSystemTime(Date.now() + ms);

describe("a key that never had an answer", () => {
  it.each([
    ["a day", {}, 24 * HOUR_MS],
    ["the time that the client assumes", { assumedLifetimeMs: HOUR_MS }, HOUR_MS],
  ])("is sent again within %s, and not after it", async (_name, options, lifetimeMs) => {
    await withServer([reset, reset, done], async ({ url, seen }) => {
      const { order } = createShop(url, { ...once, ...options });
      const first = await order.run(cart);
      // A run needs up to twice its deadline: after this instant none is started.
      pass(lifetimeMs - 120_000 - 1);
      expect(await order.run(cart)).toMatchObject({ kind: "unknown", attempts: 1 });
      pass(1);
      const old = await order.run(cart);
      expect(old).toMatchObject({
        kind: "unknown",
        key: first.key,
        attempts: 0,
        error: { code: "idempotency_key_expired", nextAction: "fix" },
      });
      expect(seen).toHaveLength(2);
    });
  });

  it("is not sent again after a reload either, nor by a resume", async () => {
    const storage = memoryStorage();
    await withServer([reset, done], async ({ url, seen }) => {
      await createShop(url, { ...once, storage }).order.run(cart);
      pass(25 * HOUR_MS);
      const [pending] = await createShop(url, { storage }).client.pending();
      expect(await pending?.resume()).toMatchObject({ kind: "unknown", attempts: 0 });
      expect(seen).toHaveLength(1);
    });
  });

  it("is not sent again after the clock was set back, because its age is unknown", async () => {
    await withServer([reset, reset, done], async ({ url, seen }) => {
      const { order } = createShop(url, once);
      await order.run(cart);
      pass(-299_000);
      expect(await order.run(cart), "a correction").toMatchObject({ attempts: 1 });
      pass(-HOUR_MS);
      expect(await order.run(cart)).toMatchObject({
        kind: "unknown",
        attempts: 0,
        error: { code: "idempotency_key_expired", message: expect.stringContaining("set back") },
      });
      expect(seen).toHaveLength(2);
    });
  });
});

describe("a lifetime that the server has named", () => {
  it.each([
    ["longer", 48 * 3_600],
    ["shorter", 60],
  ])("counts, and not the assumed one: it is %s", async (_name, seconds) => {
    const lifetime = { "idempotency-key-lifetime": String(seconds) };
    const unavailable = problem(503, "idempotency_unavailable", lifetime);
    await withServer([unavailable, unavailable, done], async ({ url, seen }) => {
      const { order } = createShop(url, once);
      await order.run(cart);
      // Less twice the deadline, or half of it.
      pass(seconds * 1_000 - Math.min(120_000, seconds * 500) - 1);
      expect(await order.run(cart)).toMatchObject({ attempts: 1 });
      pass(1);
      expect(await order.run(cart)).toMatchObject({ kind: "unknown", attempts: 0 });
      expect(seen).toHaveLength(2);
    });
  });

  it("ends the run that learns of it: the next attempt would come after the end", async () => {
    const unavailable = problem(503, "idempotency_unavailable", {
      "idempotency-key-lifetime": "20",
    });
    const slow: Reply = (...given) => {
      unavailable(...given);
      pass(15_000);
    };
    await withServer([slow, done], async ({ url, seen }) => {
      const { order, client } = createShop(url);
      const result = await order.run(cart);
      expect(result).toMatchObject({ kind: "unknown", attempts: 1, error: { status: 503 } });
      expect(seen).toHaveLength(1);
      expect((await client.pending()).map(({ key }) => key)).toEqual([result.key]);
    });
  });
});

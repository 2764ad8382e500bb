import { memoryStorage } from "@oncekey/client";
import type { RunResult } from "@oncekey/client";
import { describe, expect, it } from "vitest";
import { cart, createShop } from "../support/shop.ts";
import { done, json, problem, reset, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";

const changed = { ...cart, lines: ["pear"] };
const slow: Reply = (response, seen) => setTimeout(() => done(response, seen), 15);

function unknown<Value>(result: RunResult<Value>): Extract<RunResult<Value>, { kind: "unknown" }> {
  if (result.kind !== "unknown") throw new Error(`expected unknown, got ${result.kind}`);
  return result;
}

describe("a resume", () => {
  it("at start-up and a click on the same cart are one request under the old key", async () => {
    const storage = memoryStorage();
    await withServer([reset, slow], async ({ url, seen }) => {
      const before = await createShop(url, { storage, attempts: 1 }).order.run(cart);
      const { client, order } = createShop(url, { storage });
      const [pending] = await client.pending();
      const [resumed, clicked] = [pending?.resume(), order.run(cart)];
      expect(clicked).toBe(resumed);
      expect(await clicked).toMatchObject({ kind: "done", key: before.key });
      expect(seen.map(({ key }) => key)).toEqual([before.key, before.key]);
    });
  });

  it("of a run that is under way is that run", async () => {
    await withServer([reset, slow], async ({ url, seen }) => {
      const { order } = createShop(url, { attempts: 1 });
      const first = unknown(await order.run(cart));
      const [again, resumed] = [order.run(cart), first.resume()];
      expect(resumed).toBe(again);
      expect(await resumed).toMatchObject({ kind: "done", key: first.key });
      expect(seen).toHaveLength(2);
    });
  });

  it("while a changed cart runs answers for its own operation, not for the other one", async () => {
    await withServer([reset, slow], async ({ url }) => {
      const { order } = createShop(url, { attempts: 1, onChange: "resolve-first" });
      const first = unknown(await order.run(cart));
      const [second, resumed] = await Promise.all([order.run(changed), first.resume()]);
      expect(second).toMatchObject({ kind: "rejected", earlierResult: { key: first.key } });
      expect(resumed).toMatchObject({ kind: "done", value: { id: 1 }, key: first.key });
    });
  });

  it("that was listed before another operation took its place leaves the other one's record alone", async () => {
    const lifetime = { "idempotency-key-lifetime": "3600" };
    const unavailable = problem(503, "idempotency_unavailable", lifetime);
    await withServer([reset, done, reset, unavailable], async ({ url }) => {
      const { order, client } = createShop(url, { attempts: 1 });
      const stale = unknown(await order.run(cart));
      await stale.resume();
      const second = unknown(await order.run(changed));
      expect(unknown(await stale.resume()).key).toBe(stale.key);
      expect((await client.pending()).map(({ key }) => key)).toEqual([second.key]);
    });
  });
});

describe("a resume of what was rejected since it was listed", () => {
  it.each([
    ["looks, and starts nothing, where that can be", true, "true"],
    ["sends it, where it cannot", false, undefined],
  ])("%s", async (_name, statusCheck, onlyIfStored) => {
    const missing = problem(404, "idempotency_not_found");
    await withServer([reset, json(409, { code: "sold_out" }), missing], async ({ url, seen }) => {
      const { order, client } = createShop(url, { attempts: 1, statusCheck });
      const { key } = await order.run(cart);
      const [stale] = await client.pending();
      expect(await order.run(cart)).toMatchObject({ kind: "rejected", key });
      expect(await stale?.resume()).toMatchObject({ kind: "unknown", key, found: false });
      expect(seen[2]?.headers["idempotency-only-if-stored"]).toBe(onlyIfStored);
    });
  });
});

describe("forget", () => {
  it("while the operation runs is not undone when its outcome stays unknown", async () => {
    const storage = memoryStorage();
    const unavailable: Reply = (response, seen) =>
      setTimeout(() => {
        problem(503, "idempotency_unavailable", { "idempotency-key-lifetime": "3600" })(
          response,
          seen,
        );
      }, 15);
    await withServer([reset, unavailable], async ({ url }) => {
      const { order, client } = createShop(url, { storage, attempts: 1 });
      const first = unknown(await order.run(cart));
      const resumed = first.resume();
      await first.forget();
      expect((await resumed).kind).toBe("unknown");
      expect(await client.pending()).toEqual([]);
    });
  });
});

import { isIdempotencyError, memoryStorage } from "@oncekey/client";
import type { RunResult } from "@oncekey/client";
import { afterEach, describe, expect, it, vi } from "vitest";
import { cart, createShop } from "../support/shop.ts";
import { done, json, problem, reset, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";

const changed = { ...cart, lines: ["apple", "pear"] };
const hold = { onChange: "hold", attempts: 1 } as const;
const conflict: Reply = problem(422, "idempotency_conflict");

afterEach(() => vi.useRealTimers());

function earlierOf(result: RunResult<unknown>) {
  if (result.kind !== "rejected" || result.earlier === undefined) throw new Error(result.kind);
  return result.earlier;
}

describe("a cart that changed while the outcome is not known, under onChange: 'hold'", () => {
  it("is sent under the earlier key, and done where the earlier request never arrived", async () => {
    await withServer([reset, json(201, { id: 2 }), done], async ({ url, seen }) => {
      const { order, client } = createShop(url, hold);
      const first = await order.run(cart);
      expect(await order.run(changed)).toMatchObject({ kind: "done", value: { id: 2 } });
      expect(seen.map(({ key, body }) => [key, body])).toEqual([
        [first.key, '{"lines":["apple"]}'],
        [first.key, '{"lines":["apple","pear"]}'],
      ]);
      expect(await client.pending()).toEqual([]);
      expect((await order.run(changed)).key, "settled is over").not.toBe(first.key);
    });
  });

  it.each([
    ["is remembered", undefined],
    ["is forgotten", 0],
  ])(
    "is no result of the earlier cart's handle after it was done and %s",
    async (_name, rememberMs) => {
      const marked = { "idempotency-mismatch": "true", "idempotent-replayed": "true" };
      const replies = [reset, json(201, { id: 2 }), json(201, { id: 2 }, marked)];
      await withServer(replies, async ({ url }) => {
        const { order } = createShop(url, { ...hold, rememberMs });
        const first = await order.run(cart);
        expect((await order.run(changed)).kind).toBe("done");
        expect(first.kind === "unknown" && (await first.resume())).toMatchObject({
          kind: "rejected",
          error: { code: "earlier_operation_exists" },
        });
      });
    },
  );

  it("is rejected with a handle of the earlier one if the server refuses the key", async () => {
    await withServer([reset, conflict, done], async ({ url, seen }) => {
      const { order, client } = createShop(url, hold);
      const first = await order.run(cart);
      const second = await order.run(changed);
      expect(second).toMatchObject({
        kind: "rejected",
        key: first.key,
        error: { code: "earlier_operation_exists", nextAction: "resume", status: 422 },
      });
      expect(
        second.kind === "rejected" && isIdempotencyError(second.error, "earlier_operation_exists"),
      ).toBe(true);
      const earlier = earlierOf(second);
      expect(earlier).toMatchObject({ operation: "order", instance: "cart-1", key: first.key });
      expect((await client.pending()).map(({ key }) => key)).toEqual([first.key]);
      expect(await earlier.resume()).toMatchObject({ kind: "done", value: { id: 1 } });
      expect(seen[2]).toMatchObject({ key: first.key, body: '{"lines":["apple"]}' });
      expect((await order.run(changed)).key, "and then it is an order of its own").not.toBe(
        first.key,
      );
    });
  });

  const replayed = { "idempotent-replayed": "true" };
  it.each([
    ["what is not marked as a replay counts from the key's first moment", {}, 3_000, [0, 0, 2], 0],
    ["as a replay names what is left of a day", replayed, 39_600, [13, 1, 9], 1],
    ["and that is from when it was asked, be it read late", replayed, 39_600, [13, 1, 10], 0],
    ["less than the client assumes", replayed, 1_800, [0, 2, 0], 0],
    ["longer than the client assumes", replayed, 29 * 86_400, [0, 25, 0], 1],
  ])("leaves the earlier one its lifetime: %s", async (_name, marks, left, hours, attempts) => {
    vi.useFakeTimers({ toFake: ["Date"], now: new Date("2026-01-02T00:00:00Z") });
    const [before = 0, late = 0, after = 0] = hours;
    const pass = (count: number): void => void vi.setSystemTime(Date.now() + count * 3_600_000);
    const headers = { "idempotency-key-lifetime": String(left) };
    const told: Reply = (...given) => {
      problem(422, "idempotency_conflict", { ...headers, ...marks })(...given);
      pass(late);
    };
    await withServer([reset, told, done], async ({ url, seen }) => {
      const { order } = createShop(url, hold);
      await order.run(cart);
      pass(before);
      const earlier = earlierOf(await order.run(changed));
      pass(after);
      const kind = attempts === 0 ? "unknown" : "done";
      expect(await earlier.resume()).toMatchObject({ kind, attempts });
      expect(seen).toHaveLength(2 + attempts);
    });
  });

  it("that is refused before the key is looked at leaves the earlier one as it was", async () => {
    // Without the echoed key.
    const invalid: Reply = (response) =>
      response.writeHead(422, { "content-type": "application/json" }).end("{}");
    await withServer([reset, invalid, done], async ({ url, seen }) => {
      const { order, client } = createShop(url, hold);
      const first = await order.run(cart);
      const second = await order.run(changed);
      expect(second).toMatchObject({ kind: "rejected", error: { code: undefined, status: 422 } });
      expect((await client.pending()).map(({ key }) => key)).toEqual([first.key]);
      expect((await earlierOf(second).resume()).kind).toBe("done");
      expect(seen[2]?.body).toBe('{"lines":["apple"]}');
    });
  });

  it("that is refused by the operation itself settles the key: the earlier request never arrived", async () => {
    await withServer([reset, json(402, { message: "declined" })], async ({ url }) => {
      const { order, client } = createShop(url, hold);
      await order.run(cart);
      const second = await order.run(changed);
      expect(second).toMatchObject({ kind: "rejected", error: { message: "declined" } });
      expect([second, await client.pending()]).toEqual([
        expect.not.objectContaining({ earlier: expect.anything() }),
        [],
      ]);
    });
  });

  it("that gets lost as well stays known beside the earlier one, through a reload", async () => {
    const storage = memoryStorage();
    await withServer([reset, reset, conflict, done], async ({ url, seen }) => {
      const first = await createShop(url, { ...hold, storage }).order.run(cart);
      const second = await createShop(url, { ...hold, storage }).order.run(changed);
      expect(second).toMatchObject({ kind: "unknown", key: first.key });
      // The changed one arrived: the server does not know the first under this key.
      const third = await createShop(url, { ...hold, storage }).order.run(cart);
      expect(third).toMatchObject({
        kind: "rejected",
        error: { code: "earlier_operation_exists" },
      });
      expect(await createShop(url, { ...hold, storage }).order.run(changed)).toMatchObject({
        kind: "done",
        key: first.key,
      });
      expect(seen.map(({ body }) => body.includes("pear"))).toEqual([false, true, false, true]);
      expect(new Set(seen.map(({ key }) => key)).size).toBe(1);
      await expect.poll(() => storage.getAllKeys()).toEqual([]);
    });
  });

  it("is settled one request after the other by a page that resolves first, which then stops", async () => {
    const storage = memoryStorage();
    const third = { ...cart, lines: ["plum"] };
    await withServer([reset, reset, conflict, done], async ({ url, seen }) => {
      const { order } = createShop(url, { ...hold, storage });
      const { key } = await order.run(cart);
      await order.run(changed);
      const page = createShop(url, { storage, onChange: "resolve-first" });
      const result = await page.order.run(third);
      expect(result).toMatchObject({ kind: "rejected", earlierResult: { kind: "done", key } });
      expect(seen.map(({ body }) => body)).toEqual([
        '{"lines":["apple"]}',
        '{"lines":["apple","pear"]}',
        '{"lines":["apple","pear"]}',
        '{"lines":["apple"]}',
      ]);
    });
  });

  it("stays unsettled if a page with resolve-first sends each request once and each is refused", async () => {
    const storage = memoryStorage();
    const refused: Reply = (response) =>
      response.writeHead(422, { "content-type": "application/json" }).end("{}");
    await withServer([reset, reset, refused], async ({ url, seen }) => {
      const { order } = createShop(url, { ...hold, storage });
      const { key } = await order.run(cart);
      await order.run(changed);
      const page = createShop(url, { storage, onChange: "resolve-first" });
      const result = await page.order.run({ ...cart, lines: ["plum"] });
      expect(result).toMatchObject({ kind: "rejected", key, error: { status: 422 } });
      expect(earlierOf(result).key).toBe(key);
      expect(seen.map(({ body }) => body.includes("pear"))).toEqual([false, true, true, false]);
    });
  });

  it("is released if the server knows none of its requests under the key", async () => {
    await withServer([reset, conflict], async ({ url }) => {
      const { order, client } = createShop(url, hold);
      await order.run(cart);
      const earlier = earlierOf(await order.run(changed));
      expect(await earlier.resume()).toMatchObject({
        kind: "rejected",
        error: { code: "idempotency_conflict" },
      });
      expect(await client.pending()).toEqual([]);
    });
  });
});

describe("a cart that is edited and reverted while the outcome is not known", () => {
  it.each(["hold", "resolve-first"] as const)("has its key again: %s", async (onChange) => {
    await withServer([reset, reset, done], async ({ url, seen }) => {
      const { order } = createShop(url, { onChange, attempts: 1 });
      const first = await order.run(cart);
      expect(await order.run(changed)).toMatchObject({ kind: "unknown", key: first.key });
      expect(await order.run(cart)).toMatchObject({ kind: "done", key: first.key });
      expect(seen.at(-1)?.body).toBe('{"lines":["apple"]}');
    });
  });
});

describe("onChange", () => {
  it("of an operation wins over the client's", async () => {
    await withServer([reset, done], async ({ url, seen }) => {
      const { client } = createShop(url, { attempts: 1 });
      const order = client.operation<typeof cart>("held", {
        request: ({ lines }) => ({ path: "orders", json: { lines } }),
        instance: ({ id }) => id,
        onChange: "hold",
      });
      const first = await order.run(cart);
      expect(await order.run(changed)).toMatchObject({ kind: "done", key: first.key });
      expect(seen).toHaveLength(2);
    });
  });
});

import { describe, expect, it } from "vitest";
import { cart, createShop } from "../support/shop.ts";
import { done, reset, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";

describe("coalescing", () => {
  it("a second run in the same tick is the same promise, and one request", async () => {
    await withServer([done], async ({ url, seen }) => {
      const { order } = createShop(url);
      const [one, two] = [order.run(cart), order.run({ ...cart })];
      expect(one).toBe(two);
      expect((await one).kind).toBe("done");
      expect(seen).toHaveLength(1);
    });
  });

  it("another instance is another operation", async () => {
    await withServer([done], async ({ url, seen }) => {
      const { order } = createShop(url);
      const results = await Promise.all([order.run(cart), order.run({ ...cart, id: "cart-2" })]);
      expect(new Set(results.map(({ key }) => key)).size).toBe(2);
      expect(seen).toHaveLength(2);
    });
  });

  it("a run with another content waits for the live one and then has a key of its own", async () => {
    let open = 0;
    let most = 0;
    const slow: Reply = (response, seen) => {
      most = Math.max(most, (open += 1));
      setTimeout(() => ((open -= 1), done(response, seen)), 10);
    };
    await withServer([slow], async ({ url, seen }) => {
      const { order } = createShop(url);
      const results = await Promise.all([order.run(cart), order.run({ ...cart, lines: ["pear"] })]);
      expect(new Set(results.map(({ key }) => key)).size).toBe(2);
      expect([most, seen.map(({ body }) => body)]).toEqual([
        1,
        ['{"lines":["apple"]}', '{"lines":["pear"]}'],
      ]);
    });
  });

  it("a cart that is edited and reverted while it runs is the run of before", async () => {
    const slow: Reply = (response, seen) => setTimeout(() => done(response, seen), 10);
    await withServer([slow], async ({ url, seen }) => {
      const { order } = createShop(url);
      const [first, edited] = [order.run(cart), order.run({ ...cart, lines: ["pear"] })];
      expect(order.run(cart)).toBe(first);
      expect(order.run({ ...cart, lines: ["pear"] })).toBe(edited);
      expect((await edited).key).not.toBe((await first).key);
      expect(seen).toHaveLength(2);
      expect((await order.run(cart)).key, "settled is over").not.toBe((await first).key);
    });
  });

  it("what runs is not pending, and a resume of it is the run itself", async () => {
    const lateReset: Reply = (response) => setTimeout(() => response.destroy(), 15);
    await withServer([reset, lateReset, done], async ({ url, seen }) => {
      const { order, client } = createShop(url, { attempts: 1 });
      const first = await order.run(cart);
      if (first.kind !== "unknown") throw new Error("the reset leaves the outcome unknown");
      const [again, resumed] = [first.resume(), first.resume()];
      expect(again).toBe(resumed);
      expect(await client.pending()).toEqual([]);
      const second = await again;
      expect(second).toMatchObject({ kind: "unknown", key: first.key });
      expect(second.kind === "unknown" && (await second.resume())).toMatchObject({
        kind: "done",
        key: first.key,
      });
      expect(seen.map(({ key }) => key)).toEqual(Array(3).fill(first.key));
    });
  });
});

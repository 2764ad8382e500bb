import { describe, expect, it } from "vitest";
import type { AttemptEvent, OperationState, WaitEvent } from "@oncekey/client";
import { cart, createShop } from "../support/shop.ts";
import type { Cart } from "../support/shop.ts";
import { done, json, problem, reset, withServer } from "../support/server.ts";

type Shop = ReturnType<typeof createShop>;

/** Every state that an observer sees, from now on. */
function watch({ order }: Shop, input: Cart = cart) {
  const store = order.observe(input);
  const states: OperationState<{ id: number } | undefined>[] = [store.getState()];
  const unsubscribe = store.subscribe(() => states.push(store.getState()));
  return { store, states, kinds: () => states.map(({ kind }) => kind), unsubscribe };
}

describe("an observer of an operation", () => {
  it("sees it from the first attempt to the result", async () => {
    await withServer([done], async ({ url }) => {
      const shop = createShop(url);
      const { states } = watch(shop);
      const result = await shop.order.run(cart);
      expect(states).toEqual([
        { kind: "idle" },
        { kind: "sending", key: undefined },
        { kind: "sending", key: result.key },
        { kind: "settled", result },
      ]);
    });
  });

  it("sees when it waits for another attempt, and which one is under way", async () => {
    await withServer([reset, done], async ({ url }) => {
      const shop = createShop(url);
      const { states } = watch(shop);
      const { key } = await shop.order.run(cart);
      expect(states.slice(3, -1)).toEqual([
        { kind: "retrying", key, attempt: 2, retryAt: expect.any(Date) },
        { kind: "retrying", key, attempt: 2 },
      ]);
    });
  });

  it("sees that an earlier request is asked for: one that still runs, or one that an earlier run left", async () => {
    const running = problem(409, "idempotency_in_flight");
    await withServer([running, running, json(503, {}), running, done], async ({ url }) => {
      const shop = createShop(url, { attempts: 1 });
      const { kinds, states } = watch(shop);
      const first = await shop.order.run(cart);
      expect(kinds()).toEqual(["idle", "sending", "sending", "checking", "unknown"]);
      expect(states.at(-1)).toEqual({ kind: "unknown", result: first });
      states.length = 0;
      await shop.order.run(cart);
      expect(states).toEqual([
        { kind: "sending", key: undefined },
        { kind: "checking", key: first.key },
        { kind: "settled", result: expect.objectContaining({ kind: "done", key: first.key }) },
      ]);
    });
  });

  it("gets one and the same state until it changes, as every other observer does", async () => {
    await withServer([done], async ({ url }) => {
      const shop = createShop(url);
      const [one, two] = [watch(shop), watch(shop, { ...cart })];
      expect(one.store.getState()).toBe(two.store.getState());
      await Promise.all([shop.order.run(cart), shop.order.run({ ...cart })]);
      expect(one.states.length).toBe(4);
      expect(one.states.every((state, index) => state === two.states[index])).toBe(true);
      expect(watch(shop, { ...cart, id: "cart-2" }).kinds()).toEqual(["idle"]);
    });
  });

  it("a late observer gets the final state, and none is notified after it unsubscribed", async () => {
    await withServer([done], async ({ url }) => {
      const shop = createShop(url);
      const { kinds, unsubscribe } = watch(shop);
      unsubscribe();
      const result = await shop.order.run(cart);
      expect(kinds()).toEqual(["idle"]);
      expect(shop.order.observe(cart).getState()).toEqual({ kind: "settled", result });
    });
  });

  it("finds the last 50 that have ended unobserved, and those with an observer for as long as it stays", async () => {
    await withServer([done], async ({ url }) => {
      const shop = createShop(url);
      const numbered = (index: number): Cart => ({ ...cart, id: `cart-${index}` });
      const { store, unsubscribe } = watch(shop, numbered(0));
      for (let index = 0; index <= 51; index += 1) await shop.order.run(numbered(index));
      const state = (index: number) => shop.order.observe(numbered(index)).getState().kind;
      expect([state(1), state(2), state(51)]).toEqual(["idle", "settled", "settled"]);
      expect(store.getState().kind).toBe("settled");
      unsubscribe();
      expect([state(0), state(2), state(3)]).toEqual(["settled", "idle", "settled"]);
    });
  });

  it("sees nothing any more of what was given up", async () => {
    await withServer([reset], async ({ url }) => {
      const shop = createShop(url, { attempts: 1 });
      const { kinds } = watch(shop);
      const result = await shop.order.run(cart);
      if (result.kind === "unknown") await result.forget();
      expect(kinds().slice(-2)).toEqual(["unknown", "idle"]);
    });
  });

  it("sees that nothing runs where the run itself could not begin", async () => {
    const shop = createShop("https://shop.example/", { key: () => "a b" });
    const { kinds } = watch(shop);
    await expect(shop.order.run(cart)).rejects.toThrow("key must return");
    expect(kinds()).toEqual(["idle", "sending", "idle"]);
  });
});

describe("callbacks", () => {
  it("are called before each attempt and each wait: the run's own and the client's", async () => {
    const attempts: AttemptEvent[] = [];
    const waits: WaitEvent[] = [];
    const shared: string[] = [];
    const running = problem(409, "idempotency_in_flight");
    await withServer([reset, running, done], async ({ url }) => {
      const { order } = createShop(url, {
        onAttempt: ({ attempt }) => shared.push(`attempt ${attempt}`),
        onWait: ({ reason }) => shared.push(reason),
      });
      const { key } = await order.run(cart, {
        onAttempt: (event) => attempts.push(event),
        onWait: (event) => waits.push(event),
      });
      const about = { key, operation: "order", instance: "cart-1" };
      expect(attempts).toEqual([1, 2, 2].map((attempt) => ({ ...about, attempt })));
      const wait = { ...about, waitMs: expect.any(Number), until: expect.any(Date), attempt: 2 };
      expect(waits).toEqual([
        { ...wait, reason: "retry" },
        { ...wait, reason: "in-flight" },
      ]);
      expect(shared).toEqual(["attempt 1", "retry", "attempt 2", "in-flight", "attempt 2"]);
    });
  });

  it("of the client are called for plain calls as well", async () => {
    const events: AttemptEvent[] = [];
    await withServer([done], async ({ url }) => {
      const { client } = createShop(url, { onAttempt: (event) => events.push(event) });
      await client.post("orders", { key: "mine" });
      expect(events).toEqual([{ key: "mine", attempt: 1 }]);
    });
  });

  it("that throw cost a warning, and not the result", async () => {
    const fail = (): never => {
      throw new Error("a bug of the page");
    };
    await withServer([reset, done], async ({ url }) => {
      const shop = createShop(url, { onAttempt: fail });
      shop.order.observe(cart).subscribe(fail);
      expect((await shop.order.run(cart, { onWait: fail })).kind).toBe("done");
      expect(new Set(shop.warnings.map(({ code }) => code))).toEqual(new Set(["callback_failed"]));
      expect(shop.warnings[0]?.cause).toMatchObject({ message: "a bug of the page" });
    });
  });
});

import { createClient, memoryStorage } from "@oncekey/client";
import type { Client, ClientOptions, SettledOperation, Settled } from "@oncekey/client";
import { afterEach, describe, expect, it, vi } from "vitest";
import { createHeld } from "../support/held.ts";
import { done, json, reset, withServer } from "../support/server.ts";
import { createSettlements } from "../../src/operation/settlements.ts";
import { cart, createShop } from "../support/shop.ts";
import { openBrowser } from "../support/tabs.ts";

type Heard = [Settled, SettledOperation<typeof cart>];
const replay = json(201, { id: 1 }, { "idempotent-replayed": "true" });
const changed = { ...cart, lines: ["pear"] };

afterEach(() => vi.useRealTimers());

/** Defines `order` again, with a callback. */
function listen(client: Client, heard: Heard[]) {
  return client.operation("order", {
    request: ({ lines }: typeof cart) => ({ path: "orders", json: { lines } }),
    instance: ({ id }) => id,
    onSettled: (result, about) => void heard.push([result, about]),
  });
}

function open(url: string, options: ClientOptions = {}) {
  const heard: Heard[] = [];
  const { client, warnings } = createShop(url, { attempts: 1, ...options });
  return { client, warnings, heard, order: listen(client, heard) };
}

describe("onSettled", () => {
  it("is called once for a run, with the input", async () => {
    await withServer([done], async ({ url }) => {
      const { order, heard } = open(url);
      const result = await order.run(cart);
      expect(heard).toEqual([[result, { instance: cart.id, input: cart }]]);
    });
  });

  it("is called once if the same input is replayed, and not for what stays unknown", async () => {
    await withServer([reset, done, replay], async ({ url }) => {
      const { order, heard } = open(url, { rememberMs: undefined });
      await order.run(cart);
      expect(heard).toEqual([]);
      await order.run(cart);
      await order.run(cart);
      expect(heard).toMatchObject([[{ kind: "done", replayed: false }, {}]]);
    });
  });

  it.each([["refused", json(402, { message: "declined" })]])(
    "is called for what is %s",
    async (_name, reply) => {
      await withServer([reply], async ({ url }) => {
        const { order, heard } = open(url);
        await order.run(cart);
        expect(heard).toMatchObject([[{ kind: "rejected" }, { instance: cart.id }]]);
      });
    },
  );

  it("is called for an earlier operation, and not for the run that found it", async () => {
    const marked = { "idempotency-mismatch": "true", "idempotent-replayed": "true" };
    await withServer([reset, json(201, { id: 1 }, marked)], async ({ url }) => {
      const { order, heard } = open(url);
      const { key } = await order.run(cart);
      await order.run(changed);
      expect(heard).toMatchObject([[{ kind: "done", key, value: { id: 1 } }, {}]]);
      expect(heard[0]?.[1]).toEqual({ instance: cart.id });
    });
  });

  it("is called in a tab that saw the outcome unknown, once another tab has settled it", async () => {
    const { openTab } = openBrowser();
    await withServer([reset, done], async ({ url }) => {
      const heard: Heard[] = [];
      const { client } = openTab(url, { attempts: 1 });
      const order = listen(client, heard);
      const { key } = await order.run(cart);
      await openTab(url).order.run(cart);
      await expect
        .poll(() => heard)
        .toMatchObject([[{ kind: "done", key }, { instance: cart.id }]]);
      expect(order.observe(cart).getState()).toMatchObject({ kind: "settled", result: { key } });
      await client.reset();
    });
  });

  it("costs a warning if it throws or rejects, and not the result", async () => {
    await withServer([done], async ({ url }) => {
      const { client, warnings } = createShop(url);
      const order = client.operation("order", {
        request: (id: string) => ({ path: "orders", json: { id } }),
        onSettled: () => Promise.reject(new Error("a bug of the page")),
      });
      expect((await order.run("1")).kind).toBe("done");
      await expect.poll(() => warnings).toMatchObject([{ code: "callback_failed" }]);
    });
  });
});

describe("resumeAll", () => {
  it("settles what earlier pages left, and reports it through onSettled", async () => {
    const storage = memoryStorage();
    await withServer([reset, reset, done, json(402, {})], async ({ url }) => {
      const before = createShop(url, { attempts: 1, storage });
      await before.order.run(cart);
      await before.order.run({ ...cart, id: "cart-2" });
      const { client, heard } = open(url, { storage });
      await client.resumeAll();
      expect(heard.map(([{ kind }]) => kind).toSorted()).toEqual(["done", "rejected"]);
      expect(heard.map(([, about]) => about.instance).toSorted()).toEqual(["cart-1", "cart-2"]);
      expect(await client.pending()).toEqual([]);
    });
  });

  it("reports an operation that is defined later, once it is", async () => {
    const storage = memoryStorage();
    await withServer([reset, done], async ({ url }) => {
      const { key } = await createShop(url, { attempts: 1, storage }).order.run(cart);
      const client = createClient({ ky: { prefix: url }, storage });
      await client.resumeAll();
      const heard: Heard[] = [];
      listen(client, heard);
      await expect
        .poll(() => heard)
        .toMatchObject([[{ kind: "done", key }, { instance: cart.id }]]);
    });
  });

  it("settles four at a time, and begins none after the deadline", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const storage = memoryStorage();
    const held = createHeld();
    await withServer(
      [...Array.from({ length: 6 }, () => reset), held.reply],
      async ({ url, seen }) => {
        const before = createShop(url, { attempts: 1, storage });
        for (let index = 0; index < 6; index += 1)
          await before.order.run({ ...cart, id: `${index}` });
        const { client } = open(url, { storage, deadlineMs: 60_000 });
        const resuming = client.resumeAll();
        await expect.poll(() => seen.length).toBe(6 + 4);
        vi.setSystemTime(Date.now() + 60_001);
        held.go();
        await resuming;
        expect(seen).toHaveLength(10);
        expect(await client.pending()).toHaveLength(2);
      },
    );
  });

  it("asks before it sends what is older than the page", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const storage = memoryStorage();
    await withServer([reset, reset, done], async ({ url, seen }) => {
      await createShop(url, { attempts: 1, storage }).order.run(cart);
      vi.setSystemTime(Date.now() + 1);
      const { client, order } = open(url, { storage });
      await order.run({ ...cart, id: "cart-2" });
      const asked: string[] = [];
      await client.resumeAll({ confirmLate: ({ instance }) => asked.push(instance) < 0 });
      expect(asked).toEqual(["cart-1"]);
      expect(seen).toHaveLength(3);
      expect((await client.pending()).map(({ instance }) => instance)).toEqual(["cart-1"]);
    });
  });

  it("looks before it asks if the server can be asked", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const storage = memoryStorage();
    await withServer([reset, replay], async ({ url, seen }) => {
      await createShop(url, { attempts: 1, storage }).order.run(cart);
      vi.setSystemTime(Date.now() + 1);
      const { client, heard } = open(url, { storage, statusCheck: true });
      await client.resumeAll({ confirmLate: () => Promise.reject(new Error("not asked")) });
      expect(heard).toMatchObject([[{ kind: "done" }, {}]]);
      expect(seen[1]?.headers["idempotency-only-if-stored"]).toBe("true");
    });
  });

  it("neither asks nor sends if the look finds nothing out", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const storage = memoryStorage();
    await withServer([reset, reset, done], async ({ url, seen }) => {
      await createShop(url, { attempts: 1, storage }).order.run(cart);
      vi.setSystemTime(Date.now() + 1);
      const { client } = open(url, { attempts: 1, storage, statusCheck: true });
      const asked: unknown[] = [];
      await client.resumeAll({ confirmLate: (one) => asked.push(one) > 0 });
      expect([asked, seen.length]).toEqual([[], 2]);
      expect(await client.pending()).toHaveLength(1);
    });
  });

  it("never rejects: a question that fails is a warning", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const storage = memoryStorage();
    await withServer([reset], async ({ url, seen }) => {
      await createShop(url, { attempts: 1, storage }).order.run(cart);
      vi.setSystemTime(Date.now() + 1);
      const { client, warnings } = open(url, { storage });
      await client.resumeAll({ confirmLate: () => Promise.reject(new Error("closed")) });
      expect(warnings).toMatchObject([{ code: "callback_failed", cause: { message: "closed" } }]);
      expect(seen).toHaveLength(1);
    });
  });
});

describe("reset", () => {
  it("forgets records and states, so that one test leaves nothing to the next", async () => {
    await withServer([reset], async ({ url }) => {
      const { client, order } = open(url);
      await order.run(cart);
      await client.reset();
      expect(await client.pending()).toEqual([]);
      expect(order.observe(cart).getState()).toEqual({ kind: "idle" });
    });
  });
});

describe("the keys that were reported", () => {
  it("are the last 500 ones: a later replay of one of these is not reported again", () => {
    const heard: string[] = [];
    const settlements = createSettlements(() => {});
    settlements.listen("order", ({ key }) => void heard.push(key));
    const report = (index: number): void =>
      settlements.report({
        operation: "order",
        about: { instance: "cart" },
        result: {
          kind: "done",
          value: 1,
          status: 201,
          replayed: false,
          key: `${index}`,
          attempts: 1,
        },
      });
    for (let index = 0; index <= 500; index += 1) report(index);
    expect(heard).toHaveLength(501);
    for (const index of [500, 499, 1]) report(index);
    expect(heard).toHaveLength(501);
    report(0);
    expect(heard.slice(501)).toEqual(["0"]);
  });
});

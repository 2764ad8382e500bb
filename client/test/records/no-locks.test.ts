/** Two clients that share a storage and nothing else: no Web Locks, no messages. The record alone keeps them apart. */
import { asyncStorage, memoryStorage } from "@oncekey/client";
import type { OperationStorage } from "@oncekey/client";
import { describe, expect, it, vi } from "vitest";
import { createHeld } from "../support/held.ts";
import { json, problem, reset, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";
import { cart, createShop } from "../support/shop.ts";

const other = { ...cart, lines: ["pear"] };

const STORAGES: [string, () => OperationStorage][] = [
  ["that answers at once", memoryStorage],
  ["that takes its time", () => asyncStorage(memoryStorage())],
];

describe.each(STORAGES)("the record of another client in a storage %s", (_name, make) => {
  const held = (reply: Reply): { reply: Reply; arrived: Promise<void>; go: () => void } => {
    const gate = createHeld();
    return {
      ...gate,
      async reply(response, seen) {
        // The answer of the gate is replaced.
        const passed = Promise.withResolvers<void>();
        await gate.reply(
          { writeHead: () => ({ end: passed.resolve }), end: passed.resolve } as never,
          seen,
        );
        reply(response, seen);
      },
    };
  };

  it.each<[string, Reply, number | undefined]>([
    ["done, and its record would be removed", json(201, { id: 1 }), 0],
    ["done, and its key would be remembered", json(201, { id: 1 }), undefined],
    ["rejected", json(402, { message: "declined" }), 0],
    [
      "unknown, with a lifetime",
      problem(500, "idempotency_outcome_unknown", { "idempotency-key-lifetime": "60" }),
      0,
    ],
  ])(
    "stays in its place when a run whose record was given up is %s",
    async (_ending, reply, rememberMs) => {
      const storage = make();
      const late = held(reply);
      await withServer([late.reply, reset, json(201, { id: 2 })], async ({ url, seen }) => {
        const options = { storage, attempts: 1, rememberMs };
        const one = createShop(url, options);
        const two = createShop(url, options);
        const running = one.order.run(cart);
        await late.arrived;
        // Without locks the second client cannot see that the first one works on the record.
        const [left] = await two.client.pending();
        await left?.forget();
        const theirs = await two.order.run(other);
        expect(theirs.kind).toBe("unknown");
        late.go();
        await running;
        expect(await two.client.pending()).toMatchObject([{ key: theirs.key }]);
        expect(await two.order.run(other)).toMatchObject({ kind: "done", key: theirs.key });
        expect(seen.map(({ key }) => key)).toEqual([left?.key, theirs.key, theirs.key]);
      });
    },
  );

  it.each([
    ["the same cart", cart],
    ["another cart", other],
  ])(
    "stays in its place when the first client forgets what it had there: %s",
    async (_what, theirCart) => {
      const storage = make();
      await withServer([reset], async ({ url }) => {
        const one = createShop(url, { storage, attempts: 1 });
        const two = createShop(url, { storage, attempts: 1 });
        const mine = await one.order.run(cart);
        const [left] = await two.client.pending();
        await left?.forget();
        const theirs = await two.order.run(theirCart);
        if (mine.kind !== "unknown") throw new Error(mine.kind);
        await mine.forget();
        expect(await two.client.pending()).toMatchObject([{ key: theirs.key }]);
      });
    },
  );

  it.each<[string, Reply]>([
    ["done", json(201, { id: 1 }, { "idempotent-replayed": "true" })],
    ["rejected", json(402, {}, { "idempotent-replayed": "true" })],
    ["unknown", reset],
  ])(
    "stays in its place when the first client resumes what it had there, and that is %s",
    async (_ending, reply) => {
      const storage = make();
      await withServer([reset, reset, reply, json(201, { id: 2 })], async ({ url, seen }) => {
        const one = createShop(url, { storage, attempts: 1 });
        const two = createShop(url, { storage, attempts: 1 });
        const mine = await one.order.run(cart);
        const [left] = await two.client.pending();
        await left?.forget();
        const theirs = await two.order.run(other);
        if (mine.kind !== "unknown") throw new Error(mine.kind);
        await mine.resume();
        expect(await two.client.pending()).toMatchObject([{ key: theirs.key }]);
        expect(await two.order.run(other)).toMatchObject({ kind: "done", key: theirs.key });
        expect(seen.map(({ key }) => key)).toEqual([mine.key, theirs.key, mine.key, theirs.key]);
      });
    },
  );

  it.each<[string, Reply]>([
    ["done", json(201, { id: 1 })],
    ["rejected", json(402, { message: "declined" })],
  ])(
    "ends with its key when the first client is %s, whatever the other one has sent under it since",
    async (kind, reply) => {
      const storage = make();
      const late = held(reply);
      await withServer([late.reply, reset], async ({ url, seen }) => {
        const one = createShop(url, { storage, attempts: 1 });
        const two = createShop(url, { storage, attempts: 1 });
        const running = one.order.run(cart);
        await late.arrived;
        expect(await two.order.run(other)).toMatchObject({ kind: "unknown" });
        late.go();
        expect(await running).toMatchObject({ kind });
        expect(new Set(seen.map(({ key }) => key)).size).toBe(1);
        await expect.poll(() => two.client.pending()).toEqual([]);
      });
    },
  );

  it("is not overtaken by a second key of the first client, whose clock the server has corrected", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: new Date("2026-01-02T00:00:00Z") });
    const storage = make();
    const late = held(
      problem(412, "idempotency_key_expired", { date: "Fri, 02 Jan 2026 09:00:00 GMT" }),
    );
    try {
      await withServer([late.reply, reset, json(201, { id: 2 })], async ({ url, seen }) => {
        const one = createShop(url, { storage, attempts: 1 });
        const two = createShop(url, { storage, attempts: 1 });
        const running = one.order.run(cart);
        await late.arrived;
        const [left] = await two.client.pending();
        await left?.forget();
        const theirs = await two.order.run(cart);
        late.go();
        expect(await running).toMatchObject({ kind: "rejected" });
        expect(seen.map(({ key }) => key)).toEqual([left?.key, theirs.key]);
        expect(await two.order.run(cart)).toMatchObject({ kind: "done", key: theirs.key });
      });
    } finally {
      vi.useRealTimers();
    }
  });
});

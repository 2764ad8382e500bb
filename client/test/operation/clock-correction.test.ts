import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { cart, createShop } from "../support/shop.ts";
import { done, problem, reset, withServer } from "../support/server.ts";
import type { Seen } from "../support/server.ts";

const TRUE_AT = Date.parse("2026-06-01T12:00:00Z");
const DAY_MS = 86_400_000;
const date = { date: new Date(TRUE_AT).toUTCString() };
const expired = problem(412, "idempotency_key_expired", date);

/** The time that a UUIDv7 carries (RFC 9562 §5.7). */
const timeIn = ({ key = "" }: Seen): number =>
  Number.parseInt(key.replace("-", "").slice(0, 12), 16);

afterEach(() => vi.useRealTimers());

describe.each([
  ["behind", -3 * DAY_MS],
  ["ahead", 3 * DAY_MS],
])("a clock that is three days %s", (_name, offMs) => {
  beforeEach(() => vi.useFakeTimers({ toFake: ["Date"], now: TRUE_AT + offMs }));

  it("is noticed by a first key that is too old, and the operation is done under another one", async () => {
    await withServer([expired, done], async ({ url, seen }) => {
      const { order, client, warnings } = createShop(url);
      const result = await order.run(cart);
      expect(result).toMatchObject({ kind: "done", attempts: 2, key: seen[1]?.key });
      expect(seen.map(timeIn)).toEqual([TRUE_AT + offMs, TRUE_AT]);
      expect(seen[1]?.body).toBe(seen[0]?.body);
      expect(warnings).toMatchObject([
        { code: "clock_wrong", message: expect.stringContaining(`off by ${offMs / 1_000} s`) },
      ]);
      expect(await client.pending()).toEqual([]);
    });
  });

  it("stays corrected for as long as the client lives, for all that it sends", async () => {
    await withServer([expired, done], async ({ url, seen }) => {
      const { order, client } = createShop(url);
      await order.run(cart);
      await order.run({ ...cart, id: "cart-2" });
      await client.post("orders");
      expect(seen.slice(1).map(timeIn)).toEqual([TRUE_AT, TRUE_AT, TRUE_AT]);
      expect(new Set(seen.map(({ key }) => key)).size).toBe(4);
    });
  });

  it("is corrected back when the machine's clock is set right", async () => {
    await withServer([expired, done, expired, done], async ({ url, seen }) => {
      const { order } = createShop(url);
      await order.run(cart);
      vi.setSystemTime(TRUE_AT);
      expect(await order.run(cart)).toMatchObject({ kind: "done", attempts: 2 });
      expect(seen.slice(2).map(timeIn)).toEqual([TRUE_AT - offMs, TRUE_AT]);
    });
  });

  it("is corrected once: a key of the right time that is refused as well is rejected", async () => {
    await withServer([expired, done, expired], async ({ url, seen }) => {
      const { order, warnings } = createShop(url);
      await order.run(cart);
      expect(await order.run(cart)).toMatchObject({ kind: "rejected", attempts: 1 });
      expect([seen.length, warnings.length]).toEqual([3, 1]);
    });
  });

  it("is noticed by a plain call as well", async () => {
    await withServer([expired, done], async ({ url, seen }) => {
      expect((await createShop(url).client.post("orders")).status).toBe(201);
      expect(seen.map(timeIn)).toEqual([TRUE_AT + offMs, TRUE_AT]);
    });
  });

  it("ages an unresolved key as before: the correction is for new ones", async () => {
    await withServer([reset, expired, done, reset, done], async ({ url, seen }) => {
      const { order, client } = createShop(url, { attempts: 1 });
      const first = await order.run(cart);
      await client.post("orders");
      const [pending] = await client.pending();
      expect(await pending?.resume()).toMatchObject({ kind: "unknown", attempts: 1 });
      expect(await order.run(cart)).toMatchObject({ kind: "done", key: first.key });
      expect(seen).toHaveLength(5);
    });
  });
});

describe("a key that is refused as too old at once", () => {
  it("is minted again only once", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: TRUE_AT + DAY_MS });
    await withServer([expired], async ({ url, seen }) => {
      expect(await createShop(url).order.run(cart)).toMatchObject({
        kind: "rejected",
        attempts: 2,
        error: { code: "idempotency_key_expired" },
      });
      expect(seen).toHaveLength(2);
    });
  });

  it("is not minted again where the clock is right, or keys carry no time", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: TRUE_AT + 59_000 });
    await withServer([expired], async ({ url, seen }) => {
      expect(await createShop(url).order.run(cart)).toMatchObject({
        kind: "rejected",
        attempts: 1,
      });
      vi.setSystemTime(TRUE_AT + DAY_MS);
      const random = createShop(url, { key: "v4" });
      expect(await random.order.run(cart)).toMatchObject({ kind: "rejected", attempts: 1 });
      expect([seen.length, random.warnings]).toEqual([2, []]);
    });
  });

  it("warns once that the reply's Date cannot be read", async () => {
    const dateless: typeof expired = (response, seen) => {
      response.sendDate = false;
      return problem(412, "idempotency_key_expired")(response, seen);
    };
    await withServer([dateless], async ({ url }) => {
      const { order, warnings } = createShop(url);
      expect(await order.run(cart)).toMatchObject({ kind: "rejected", attempts: 1 });
      await order.run(cart);
      expect(warnings.map(({ code }) => code)).toEqual(["date_unreadable"]);
    });
  });

  it("is the caller's where the caller has given it", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: TRUE_AT + DAY_MS });
    await withServer([expired], async ({ url, seen }) => {
      const call = createShop(url).client.post("orders", { key: "mine" });
      await expect(call).rejects.toMatchObject({ code: "idempotency_key_expired", key: "mine" });
      expect(seen).toHaveLength(1);
    });
  });
});

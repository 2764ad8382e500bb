import { createIdempotentFetch } from "@oncekey/client/fetch";
import { afterEach, beforeEach, expect, describe, it, vi } from "vitest";
import { done, problem, reset, withServer } from "../support/server.ts";
import { cart, createShop } from "../support/shop.ts";

const TWO_DAYS_MS = 172_800_000;

beforeEach(() => vi.useFakeTimers({ toFake: ["Date"], now: new Date("2026-01-02T00:00:00Z") }));
afterEach(() => vi.useRealTimers());

const pass = (ms: number): void => void vi.setSystemTime(Date.now() + ms);
/** Closes the lid: the wall clock goes on, and `performance.now()` stops. */
const sleep = (): void => pass(TWO_DAYS_MS);

describe("a machine that sleeps for longer than the server keeps a record", () => {
  it("between two attempts sends nothing when it wakes up, and keeps the key", async () => {
    await withServer([reset, done], async ({ url, seen }) => {
      const { order, client } = createShop(url);
      const result = await order.run(cart, { onWait: sleep });
      expect(result).toMatchObject({ kind: "unknown", attempts: 1 });
      expect(seen).toHaveLength(1);
      expect(await client.pending()).toMatchObject([{ key: result.key }]);
    });
  });

  it("while a hook makes the headers of a retry sends nothing", async () => {
    await withServer([reset, done], async ({ url, seen }) => {
      let calls = 0;
      const beforeRequest = [async () => void ((calls += 1) > 1 && sleep())];
      const { order } = createShop(url, { ky: { hooks: { beforeRequest } } });
      expect(await order.run(cart)).toMatchObject({ kind: "unknown" });
      expect([calls, seen.length]).toEqual([2, 1]);
    });
  });

  it("before anything was sent ends as rejected: nothing was sent", async () => {
    await withServer([done], async ({ url, seen }) => {
      const { order, client } = createShop(url, { ky: { hooks: { beforeRequest: [sleep] } } });
      expect(await order.run(cart)).toMatchObject({ kind: "rejected" });
      expect([seen, await client.pending()]).toEqual([[], []]);
    });
  });

  it("while it renews its credentials sends nothing", async () => {
    const unauthorized = problem(401, "unauthorized");
    await withServer([reset, unauthorized, done], async ({ url, seen }) => {
      const { order } = createShop(url, { onUnauthorized: sleep });
      expect(await order.run(cart)).toMatchObject({ kind: "unknown" });
      expect(seen).toHaveLength(2);
    });
  });

  it("sends nothing by a plain call, nor by a fetch", async () => {
    await withServer([reset, done], async ({ url, seen }) => {
      const call = createShop(url, { onWait: sleep }).client.post("orders");
      await expect(call).rejects.toMatchObject({ code: "outcome_unknown" });
      expect(seen).toHaveLength(1);
    });
    await withServer([reset, done], async ({ url, seen }) => {
      const fetch = createIdempotentFetch({ onWait: sleep, backoff: { baseMs: 1 } });
      await expect(fetch(`${url}orders`, { method: "POST" })).rejects.toMatchObject({
        code: "outcome_unknown",
      });
      expect(seen).toHaveLength(1);
    });
  });
});

describe("a run", () => {
  it("sends nothing after the end that the server named, also where its deadline is later", async () => {
    const minute = { "idempotency-key-lifetime": "60" };
    const unavailable = problem(503, "idempotency_unavailable", minute);
    await withServer([unavailable, reset, done], async ({ url, seen }) => {
      const { order } = createShop(url, { attempts: 2 });
      const onWait = vi.fn<() => void>(() => pass(16_000));
      // Not yet half of it is over, and then more than three quarters are.
      const stop = new AbortController();
      await order.run(cart, { signal: stop.signal, onWait: () => stop.abort() });
      pass(29_900);
      expect(await order.run(cart, { onWait })).toMatchObject({ kind: "unknown", attempts: 1 });
      expect(onWait).toHaveBeenCalledTimes(1);
      expect(seen).toHaveLength(2);
    });
  });

  it("goes on where the clock is corrected by a little", async () => {
    await withServer([reset, done], async ({ url }) => {
      const onWait = (): void => pass(90_000);
      expect(await createShop(url).order.run(cart, { onWait })).toMatchObject({ kind: "done" });
    });
  });
});

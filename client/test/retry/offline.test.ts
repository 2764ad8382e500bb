import { HttpResponse } from "msw";
import { http } from "msw/http";
import { setupServer } from "msw/node";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { WaitEvent } from "@oncekey/client";
import { cart, createShop } from "../support/shop.ts";

const BASE = "https://shop.example/api/";
const server = setupServer();
let sentAt: number[] = [];
/** Whether the next request fails, as it does on a device without a connection. */
let isFailing = true;

beforeAll(() => server.listen({ onUnhandledFrame: "error" }));
beforeEach(() => {
  vi.useFakeTimers({ now: 0 });
  vi.stubGlobal("navigator", { onLine: false });
  // Node has no events on its global object.
  const target = new EventTarget();
  vi.stubGlobal("addEventListener", target.addEventListener.bind(target));
  vi.stubGlobal("removeEventListener", target.removeEventListener.bind(target));
  vi.stubGlobal("dispatchEvent", target.dispatchEvent.bind(target));
  sentAt = [];
  isFailing = true;
  server.use(
    http.post(`${BASE}orders`, () => {
      if (isFailing) {
        isFailing = false;
        return HttpResponse.error();
      }
      sentAt.push(Date.now());
      return HttpResponse.json({ id: 1 }, { status: 201, headers: { "idempotency-key": "echo" } });
    }),
  );
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  server.resetHandlers();
});
afterAll(() => server.close());

describe("a device that reports itself offline", () => {
  it("is believed after a failure, and sends as soon as it is connected again", async () => {
    const waits: WaitEvent[] = [];
    const { order } = createShop(BASE, { backoff: { capMs: 8_000 } });
    const store = order.observe(cart);
    const run = order.run(cart, { onWait: (event) => waits.push(event) });
    await vi.advanceTimersByTimeAsync(5_000);
    expect([sentAt, store.getState()]).toEqual([
      [],
      { kind: "retrying", key: expect.any(String), attempt: 2, retryAt: expect.any(Date) },
    ]);
    vi.stubGlobal("navigator", { onLine: true });
    globalThis.dispatchEvent(new Event("online"));
    await vi.advanceTimersByTimeAsync(50);
    expect(await run).toMatchObject({ kind: "done", attempts: 2 });
    expect(sentAt[0]).toBeLessThan(5_100);
    expect(waits).toMatchObject([
      { reason: "retry", attempt: 2 },
      { reason: "offline", attempt: 2, waitMs: 8_000 },
    ]);
  });

  it.each([
    ["the longest wait between two attempts", { backoff: { capMs: 3_000 } }, 3_000],
    ["half of the deadline", { backoff: { capMs: 8_000 }, deadlineMs: 10_000 }, 5_000],
  ])("may be wrong: it is tried all the same after %s", async (_name, options, waitMs) => {
    const run = createShop(BASE, options).order.run(cart);
    await vi.advanceTimersByTimeAsync(waitMs + 550);
    expect((await run).kind).toBe("done");
    expect(sentAt).toHaveLength(1);
    expect(sentAt[0]).toBeGreaterThanOrEqual(waitMs - 500);
  });

  it("is not believed before: the first request leaves at once", async () => {
    isFailing = false;
    const run = createShop(BASE).order.run(cart);
    await vi.advanceTimersByTimeAsync(50);
    expect(await run).toMatchObject({ kind: "done", attempts: 1 });
  });
});

it("a runtime that has no navigator counts as online: a retry waits for nothing", async () => {
  vi.stubGlobal("navigator", undefined);
  const waits: WaitEvent[] = [];
  const run = createShop(BASE).order.run(cart, { onWait: (event) => waits.push(event) });
  await vi.advanceTimersByTimeAsync(50);
  expect(await run).toMatchObject({ kind: "done", attempts: 2 });
  expect(waits).toMatchObject([{ reason: "retry", attempt: 2 }]);
});

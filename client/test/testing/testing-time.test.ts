import { createModelServer } from "@oncekey/client/testing";
import type { Asked } from "@oncekey/client/testing";
import { afterEach, beforeEach, expect, it, vi } from "vitest";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const ask = (headers: Record<string, string> = {}) => ({
  request: new Request("https://shop.example/orders", {
    method: "POST",
    headers: { "idempotency-key": "k1", ...headers },
  }),
});

it("the model server counts the lifetime down and runs the resolver again after it", async () => {
  const model = createModelServer({ retentionMs: 60_000, fenceMs: 60_000 });
  const order = model.protect<Asked>(() => new Response("made", { status: 201 }));
  const lifetime = async () => {
    const { headers } = await order(ask());
    return [headers.get("idempotency-key-lifetime"), headers.get("idempotent-replayed")];
  };
  expect(await lifetime()).toEqual(["60", null]);
  vi.advanceTimersByTime(20_500);
  expect(await lifetime()).toEqual(["39", "true"]);
  vi.advanceTimersByTime(39_500);
  expect(await lifetime()).toEqual(["60", null]);
  expect(model.effects).toHaveLength(2);
});

it("answers 410 between the end of the response and the end of its key", async () => {
  const model = createModelServer({ retentionMs: 60_000, fenceMs: 90_000 });
  const order = model.protect<Asked>(() => new Response("made", { status: 201 }));
  await order(ask());
  vi.advanceTimersByTime(60_000);
  const late = await order(ask());
  expect([late.status, late.headers.get("idempotency-key-lifetime")]).toEqual([410, "30"]);
  expect(await late.json()).toMatchObject({ originalStatus: 201 });
  vi.advanceTimersByTime(30_000);
  expect((await order(ask())).status).toBe(201);
  expect(model.effects).toHaveLength(2);
});

it("holds a duplicate for waitMs and answers Idempotency-Only-If-Stored at once", async () => {
  const model = createModelServer({ waitMs: 5_000 });
  const { promise, resolve } = Promise.withResolvers<Response>();
  const order = model.protect<Asked>(() => promise);
  const first = order(ask());
  expect((await order(ask({ "idempotency-only-if-stored": "true" }))).status).toBe(409);
  const late = order(ask());
  await vi.advanceTimersByTimeAsync(4_999);
  const joined = order(ask());
  await vi.advanceTimersByTimeAsync(1);
  expect((await late).status).toBe(409);
  resolve(new Response("made", { status: 201 }));
  expect([(await first).status, (await joined).status]).toEqual([201, 201]);
  expect((await joined).headers.get("idempotent-replayed")).toBe("true");
  expect(model.effects).toHaveLength(1);
});

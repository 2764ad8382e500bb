import { createModelServer } from "@oncekey/client/testing";
import type { Fault, ModelServer } from "@oncekey/client/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { NETWORKS } from "../support/msw.ts";
import { cart, createShop } from "../support/shop.ts";

const BASE_URL = "https://shop.example/api/";

function streamOf(parts: readonly Uint8Array[]): ReadableStream {
  return new ReadableStream({
    start(controller) {
      for (const part of parts) controller.enqueue(part);
      controller.close();
    },
  });
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe.each(NETWORKS)("the model server under %s", (_name, network) => {
  beforeAll(() => network.listen());
  afterEach(() => network.reset());
  afterAll(() => network.close());

  /** A shop whose server is the model, and a resolver that numbers the orders. */
  function openShop(model: ModelServer, answer?: () => Response) {
    let orders = 0;
    const resolver = () => Response.json({ id: (orders += 1) }, { status: 201 });
    network.post(`${BASE_URL}orders`, model.protect(answer ?? resolver));
    return createShop(BASE_URL);
  }

  it("runs a resolver once per key and counts its effects", async () => {
    const model = createModelServer();
    const { order } = openShop(model);
    expect(await settled(order.run(cart))).toMatchObject({
      kind: "done",
      value: { id: 1 },
      replayed: false,
    });
    expect(await settled(order.run(cart))).toMatchObject({ kind: "done", value: { id: 2 } });
    expect(model.effects).toEqual([
      { key: model.requests[0]?.key, method: "POST", path: "/api/orders", status: 201 },
      { key: model.requests[1]?.key, method: "POST", path: "/api/orders", status: 201 },
    ]);
    model.assertOneEffectPerKey();
  });

  it.each<[Fault[], object, number]>([
    [["unreachable"], { kind: "done", attempts: 2, replayed: false }, 1],
    [["reply-lost"], { kind: "done", attempts: 2, replayed: true }, 1],
    [["cut-off"], { kind: "done", attempts: 2, replayed: true }, 1],
    [["down"], { kind: "done", attempts: 2, replayed: false }, 1],
    [["in-flight", "in-flight"], { kind: "done", attempts: 1, replayed: true }, 1],
    [["replay"], { kind: "done", attempts: 1, replayed: true }, 1],
    [["reply-lost", "in-flight", "unreachable"], { kind: "done", attempts: 3, replayed: true }, 1],
    [
      ["mismatch"],
      { kind: "rejected", error: { code: "idempotency_conflict", original: { body: { id: 1 } } } },
      1,
    ],
    [["response-not-stored"], { kind: "done", value: undefined, status: 201 }, 1],
    [["outcome-unknown"], { kind: "unknown", error: { code: "idempotency_outcome_unknown" } }, 0],
    [["unreachable", "none"], { kind: "done", attempts: 2 }, 1],
  ])("shows the client %j", async (faults, result, effects) => {
    const model = createModelServer();
    const { order } = openShop(model);
    model.script(...faults);
    expect(await settled(order.run(cart))).toMatchObject(result);
    expect(model.effects).toHaveLength(effects);
    expect(new Set(model.requests.map(({ key }) => key)).size, "one key").toBe(1);
    model.assertOneEffectPerKey();
  });

  it.each<[string, (last: number) => BodyInit]>([
    ["bytes that are no text", (last) => new Uint8Array([0xff, last])],
    [
      "a chunked upload",
      (last) => streamOf([new Uint8Array(40_000), new Uint8Array([0xff, last])]),
    ],
  ])("refuses %s that differ in one byte under one key", async (_what, bodyOf) => {
    const model = createModelServer({ mismatch: "reject" });
    openShop(model);
    const send = async (last: number): Promise<number> => {
      const init = { method: "POST", body: bodyOf(last), duplex: "half" };
      const headers = { "idempotency-key": "one", "content-type": "application/octet-stream" };
      return (await settled(fetch(`${BASE_URL}orders`, { ...init, headers }))).status;
    };
    expect([await send(0xfe), await send(0xfd), await send(0xfe)]).toEqual([201, 422, 201]);
    expect(model.effects).toHaveLength(1);
  });

  it("refuses a different request under a used key if the first response was not stored", async () => {
    const model = createModelServer();
    const { client } = openShop(model);
    model.script("response-not-stored");
    const post = (lines: string[]) =>
      settled(
        client.post("orders", { json: { lines }, key: "own" }).catch((error: unknown) => error),
      );
    expect(await post(["apple"])).toMatchObject({ status: 201 });
    expect(await post(["pear"])).toMatchObject({ code: "idempotency_conflict", status: 410 });
  });

  it("answers idempotency_key_expired after a lost reply", async () => {
    const model = createModelServer();
    const { order } = openShop(model);
    model.script("unreachable", "expired");
    expect(await settled(order.run(cart))).toMatchObject({
      kind: "unknown",
      error: { code: "idempotency_key_expired" },
    });
    expect(model.effects).toEqual([]);
  });

  it("sends Date with an expired key, so the client does not correct its clock", async () => {
    const model = createModelServer();
    const { order, warnings } = openShop(model);
    model.script("expired");
    expect(await settled(order.run(cart))).toMatchObject({
      kind: "rejected",
      error: { code: "idempotency_key_expired" },
    });
    expect([model.requests.length, warnings]).toEqual([1, []]);
  });

  it("keeps the key free if the response is not final", async () => {
    const model = createModelServer();
    let turn = 0;
    const { order } = openShop(model, () => {
      turn += 1;
      return turn < 3 ? new Response(null, { status: 500 }) : Response.json({ id: turn });
    });
    expect(await settled(order.run(cart))).toMatchObject({
      kind: "done",
      value: { id: 3 },
      replayed: false,
    });
    expect(model.effects).toHaveLength(1);
  });

  it("frees the key if the resolver throws", async () => {
    const model = createModelServer();
    let turn = 0;
    const error = vi.spyOn(console, "error").mockReturnValue(undefined);
    const { order } = openShop(model, () => {
      turn += 1;
      if (turn === 1) throw new Error("out of stock");
      return Response.json({ id: turn });
    });
    expect(await settled(order.run(cart))).toMatchObject({
      kind: "done",
      value: { id: 2 },
      attempts: 2,
    });
    expect(error, "msw logs the error").toHaveBeenCalled();
    error.mockRestore();
  });

  it("names a key with two effects when the key is sent again after its retention", async () => {
    const model = createModelServer();
    const { client } = openShop(model);
    await settled(client.post("orders", { key: "k1", json: {} }));
    model.expire();
    await settled(client.post("orders", { key: "k1", json: {} }));
    expect(() => model.assertOneEffectPerKey()).toThrow(
      "k1 had 2: POST /api/orders 201, POST /api/orders 201",
    );
    model.script("down");
    model.reset();
    model.assertOneEffectPerKey();
    expect([model.effects, model.requests]).toEqual([[], []]);
    expect((await settled(client.post("orders", { key: "k1", json: {} }))).status).toBe(201);
  });

  it("passes the named parts of the path and the body on to the resolver", async () => {
    const model = createModelServer();
    network.post(
      `${BASE_URL}orders/:id`,
      model.protect(({ params }) => Response.json({ id: params["id"] })),
    );
    network.patch(
      `${BASE_URL}orders/:id`,
      model.protect(async ({ params, request }) =>
        Response.json({ id: params["id"], ...((await request.json()) as object) }),
      ),
    );
    const { client } = createShop(BASE_URL);
    expect(await settled(client.post("orders/7").json())).toEqual({ id: "7" });
    const change = client.patch("orders/7", { json: { added: "pear" } }).json();
    expect(await settled(change)).toEqual({ id: "7", added: "pear" });
  });

  it("answers as a fetch without msw", async () => {
    const model = createModelServer();
    const fetch = model.fetch(() => Response.json({ id: 1 }, { status: 201 }));
    model.script("reply-lost");
    const { order } = createShop(BASE_URL, { ky: { fetch } });
    expect(await settled(order.run(cart))).toMatchObject({ kind: "done", replayed: true });
    expect(model.effects).toHaveLength(1);
  });
});

/** Advances the fake clock until the run settles. */
async function settled<Result>(run: Promise<Result>): Promise<Result> {
  let isSettled = false;
  const end = run.finally(() => (isSettled = true));
  while (!isSettled) await vi.advanceTimersByTimeAsync(100);
  return end;
}

describe("createModelServer throws", () => {
  it.each<[object, string]>([
    [{ retention: 1 }, "unknown option retention; allowed are required, mismatch"],
    [{ required: "yes" }, 'required must be true or false, got "yes"'],
    [{ mismatch: "ignore" }, "mismatch must be 'replay' or 'reject', got \"ignore\""],
    [{ inFlight: "queue" }, "inFlight must be 'wait' or 'reject', got \"queue\""],
    [{ waitMs: -1 }, "waitMs must be a whole number from 0 to 120000, got -1"],
    [{ retentionMs: 1 }, "retentionMs must be a whole number from 1000 to 31622400000, got 1"],
  ])("for the option %j", (options, message) => {
    expect(() => createModelServer(options)).toThrow(message);
  });

  it("for an unknown fault and leaves the script unchanged", async () => {
    const model = createModelServer();
    const { order } = createShop(BASE_URL, {
      ky: { fetch: model.fetch(() => Response.json({ id: 1 }, { status: 201 })) },
    });
    expect(() => model.script("down", "on-fire" as Fault)).toThrow(
      "a fault must be one of none, unreachable",
    );
    expect(await settled(order.run(cart))).toMatchObject({ kind: "done", attempts: 1 });
  });
});

import { describe, expect, it } from "vitest";
import { cart, createShop } from "../support/shop.ts";
import { done, json, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";

const ietf = (status: number, title: string, detail: string): Reply =>
  json(
    status,
    { type: "https://developer.example.com/idempotency", title, detail },
    { "content-type": "application/problem+json" },
  );

const IN_FLIGHT: [string, Reply][] = [
  [
    "the IETF draft's problem",
    ietf(409, "A request is outstanding for this Idempotency-Key", "It is being processed."),
  ],
  [
    "Stripe's idempotency_key_in_use",
    json(409, { error: { type: "invalid_request_error", code: "idempotency_key_in_use" } }),
  ],
  [
    "the Agentic Commerce Protocol's idempotency_in_flight",
    json(409, { type: "invalid_request", code: "idempotency_in_flight", message: "Wait." }),
  ],
];

const CONFLICT: [string, Reply, number][] = [
  ["the IETF draft's problem", ietf(422, "Idempotency-Key is already used", "Other words."), 422],
  [
    "Stripe's idempotency_error",
    json(400, { error: { type: "idempotency_error", message: "Other words." } }),
    400,
  ],
  [
    "the Agentic Commerce Protocol's idempotency_conflict",
    json(409, { type: "invalid_request", code: "idempotency_conflict", message: "Other words." }),
    409,
  ],
];

describe("a first request that still runs", () => {
  it.each(IN_FLIGHT)("is waited for by %s", async (_name, reply) => {
    await withServer([reply, reply, done], async ({ url, seen }) => {
      const { order, warnings } = createShop(url, { attempts: 1 });
      expect(await order.run(cart)).toMatchObject({ kind: "done", attempts: 1 });
      expect(new Set(seen.map(({ key }) => key)).size).toBe(1);
      expect([seen.length, warnings]).toEqual([3, []]);
    });
  });
});

describe("a key that belongs to another request", () => {
  it.each(CONFLICT)("is known by %s", async (_name, reply, status) => {
    await withServer([reply], async ({ url, seen }) => {
      expect(await createShop(url).order.run(cart)).toMatchObject({
        kind: "rejected",
        error: { code: "idempotency_conflict", status, message: "Other words." },
      });
      expect(seen).toHaveLength(1);
    });
  });
});

describe("a key that is missing", () => {
  it("is known by the IETF draft's problem", async () => {
    const reply = ietf(400, "Idempotency-Key is missing", "It is required.");
    await withServer([reply], async ({ url }) => {
      expect(await createShop(url).order.run(cart)).toMatchObject({
        kind: "rejected",
        error: {
          code: "idempotency_key_required",
          status: 400,
          problem: { detail: "It is required." },
        },
      });
    });
  });
});

describe("what a service says of its own", () => {
  it.each<[string, Reply, object]>([
    [
      "a card that Stripe declines",
      json(402, { error: { type: "card_error", code: "card_declined", message: "Declined." } }),
      { status: 402, message: "Declined." },
    ],
    ["an order that exists already", json(409, { code: "duplicate_order" }), { status: 409 }],
    [
      "a title that means another status",
      ietf(409, "Idempotency-Key is already used", "No."),
      { message: "No." },
    ],
    [
      "a body in words",
      json(400, "Bad request"),
      { message: "The server answered with status 400" },
    ],
    ["a body of nothing", json(400, null), { message: "The server answered with status 400" }],
  ])("is an error of the application: %s", async (_name, reply, error) => {
    await withServer([reply], async ({ url, seen }) => {
      const result = await createShop(url).order.run(cart);
      expect(result).toMatchObject({ kind: "rejected", error: { code: undefined, ...error } });
      expect(seen).toHaveLength(1);
    });
  });
});

import { describe, expect, it } from "vitest";
import { cart, createShop } from "../support/shop.ts";
import { cut, done, json, problem, reset, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";

const retried: [string, Reply][] = [
  ["a reset before the headers", reset],
  ["a body that is cut off", cut],
  [
    "a reset after the headers",
    (response) => (
      response.writeHead(201, { "content-length": "9" }),
      response.flushHeaders(),
      setTimeout(() => response.destroy(), 5)
    ),
  ],
  ["503 idempotency_unavailable", problem(503, "idempotency_unavailable")],
  ...[408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524].map((status): [string, Reply] => [
    String(status),
    json(status, { error: status }),
  ]),
  ["400 with x-should-retry: true", json(400, {}, { "x-should-retry": "true" })],
  ["400 with stripe-should-retry: true", json(400, {}, { "stripe-should-retry": "true" })],
];

describe("is sent again, with the same key and the same bytes", () => {
  it.each(retried)("after %s", async (_name, reply) => {
    await withServer([reply, done], async ({ url, seen }) => {
      const result = await createShop(url).order.run(cart);
      expect(result).toMatchObject({
        kind: "done",
        value: { id: 1 },
        attempts: 2,
        replayed: false,
        status: 201,
      });
      expect(seen.map(({ key, body, method, path }) => [key, body, method, path])).toEqual(
        Array.from({ length: 2 }, () => [result.key, '{"lines":["apple"]}', "POST", "/api/orders"]),
      );
      expect(seen[0]?.headers).not.toHaveProperty("idempotency-only-if-stored");
    });
  });

  it.each<[string, Reply]>([
    ["409 idempotency_in_flight", problem(409, "idempotency_in_flight")],
    ["409 without a code but with Retry-After", json(409, {}, { "retry-after": "0" })],
    ["409 in words but with Retry-After", json(409, "busy", { "retry-after": "0" })],
  ])(
    "while the first request still runs, without counting as an attempt: %s",
    async (_name, reply) => {
      await withServer([reply, reply, reply, reply, reply, done], async ({ url, seen }) => {
        const result = await createShop(url, { attempts: 1 }).order.run(cart);
        expect(result).toMatchObject({ kind: "done", attempts: 1 });
        expect(seen.map(({ key, body }) => [key, body])).toEqual(
          Array.from({ length: 6 }, () => [result.key, '{"lines":["apple"]}']),
        );
      });
    },
  );
});

describe("is rejected and not sent again", () => {
  it.each<[string, Reply, object]>([
    ...[400, 402, 404, 405, 409, 410, 412, 413, 422, 499, 501, 505].map(
      (status): [string, Reply, object] => [
        String(status),
        json(status, { message: "no" }),
        { code: undefined, status, message: "no", problem: { message: "no" } },
      ],
    ),
    ["401 at first", json(401, undefined), { status: 401 }],
    ["403 at first", json(403, undefined), { status: 403 }],
    [
      "a replayed 500",
      json(500, {}, { "idempotent-replayed": "true" }),
      { code: undefined, status: 500 },
    ],
    [
      "422 idempotency_conflict",
      problem(422, "idempotency_conflict"),
      { code: "idempotency_conflict", nextAction: "rotate" },
    ],
    [
      "400 idempotency_key_required",
      problem(400, "idempotency_key_required"),
      { code: "idempotency_key_required" },
    ],
    [
      "400 idempotency_key_invalid",
      problem(400, "idempotency_key_invalid"),
      { code: "idempotency_key_invalid" },
    ],
    [
      "404 idempotency_not_found",
      problem(404, "idempotency_not_found"),
      { code: "idempotency_not_found" },
    ],
    [
      "412 idempotency_key_expired at first",
      problem(412, "idempotency_key_expired"),
      { code: "idempotency_key_expired", nextAction: "fix" },
    ],
    [
      "410 with a refusal as its original",
      problem(410, "idempotency_response_not_stored", {}, { originalStatus: 402 }),
      { code: "idempotency_response_not_stored", originalStatus: 402 },
    ],
    ...[400, 599].map((originalStatus): [string, Reply, object] => [
      `410 with the original status ${originalStatus}, the edge of what refuses`,
      problem(410, "idempotency_response_not_stored", {}, { originalStatus }),
      { code: "idempotency_response_not_stored", originalStatus },
    ]),
    [
      "409 that another service calls a conflict, whatever time it names",
      json(409, { code: "out_of_stock" }, { "retry-after": "0" }),
      { code: undefined, status: 409 },
    ],
    [
      "a success that is marked as a mismatch",
      json(201, { id: 7 }, { "idempotency-mismatch": "true", "idempotent-replayed": "true" }),
      {
        code: "idempotency_conflict",
        message: "An earlier operation with other content exists under this key",
        original: { status: 201, body: { id: 7 } },
      },
    ],
    [
      "a mismatch whose earlier response is not stored",
      problem(
        410,
        "idempotency_response_not_stored",
        { "idempotency-mismatch": "true" },
        { originalStatus: 202 },
      ),
      { code: "idempotency_conflict", original: { status: 202, body: undefined, stored: false } },
    ],
    [
      "a mismatch whose earlier response and status are not stored",
      problem(410, "idempotency_response_not_stored", { "idempotency-mismatch": "true" }),
      { code: "idempotency_conflict", original: { status: 0, body: undefined, stored: false } },
    ],
  ])("%s", async (_name, reply, error) => {
    await withServer([reply], async ({ url, seen }) => {
      const { order, client } = createShop(url);
      const result = await order.run(cart);
      expect(result).toMatchObject({
        kind: "rejected",
        attempts: 1,
        error: { ...error, key: result.key },
      });
      expect(seen).toHaveLength(1);
      expect(await client.pending()).toEqual([]);
      expect((await order.run(cart)).key, "the next run mints a new key").not.toBe(result.key);
    });
  });
});

describe("is unknown, and the key is kept", () => {
  it.each<[string, readonly Reply[], number, object]>([
    ["attempts used up", [json(503, {})], 4, { code: "outcome_unknown" }],
    [
      "500 idempotency_outcome_unknown",
      [problem(500, "idempotency_outcome_unknown")],
      1,
      { code: "idempotency_outcome_unknown" },
    ],
    [
      "401 after a lost reply, which is no advice to take a new key",
      [reset, json(401, { detail: "expired" })],
      2,
      {
        code: "outcome_unknown",
        nextAction: "resume",
        status: 401,
        problem: { detail: "expired" },
      },
    ],
    ["403 after a lost reply", [reset, json(403, {})], 2, { status: 403, nextAction: "resume" }],
    [
      "401 after the first was seen running",
      [problem(409, "idempotency_in_flight"), json(401, {})],
      1,
      { status: 401 },
    ],
    [
      "412 idempotency_key_expired after a lost reply",
      [reset, problem(412, "idempotency_key_expired")],
      2,
      { code: "idempotency_key_expired" },
    ],
    [
      "503 with x-should-retry: false",
      [json(503, {}, { "x-should-retry": "false" })],
      1,
      { status: 503 },
    ],
    [
      "409 with Retry-After and x-should-retry: false",
      [json(409, {}, { "retry-after": "0", "x-should-retry": "false" })],
      1,
      { status: 409, nextAction: "resume" },
    ],
    [
      "410 that does not say how it ended",
      [problem(410, "idempotency_response_not_stored")],
      1,
      { code: "outcome_unknown", nextAction: "resume" },
    ],
    ...[303, 399, 600].map((originalStatus): [string, readonly Reply[], number, object] => [
      `410 with the original status ${originalStatus}, which neither succeeds nor refuses`,
      [problem(410, "idempotency_response_not_stored", {}, { originalStatus })],
      1,
      { code: "outcome_unknown", status: 410 },
    ]),
    ["507, which says nothing of what was done", [json(507, {})], 1, { status: 507 }],
  ])("%s", async (_name, replies, attempts, error) => {
    await withServer(replies, async ({ url }) => {
      const { order, client } = createShop(url);
      const result = await order.run(cart);
      expect(result).toMatchObject({ kind: "unknown", attempts, error });
      expect(
        (await client.pending()).map(({ key, operation, instance }) => [key, operation, instance]),
      ).toEqual([[result.key, "order", "cart-1"]]);
    });
  });
});

/** Advice against a retry leaves open whether the first request runs. */
import { describe, expect, it } from "vitest";
import { json, problem, reset, done, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";
import { cart, createShop } from "../support/shop.ts";

const ADVICE = [
  ["x-should-retry", "false"],
  ["stripe-should-retry", "false"],
  ["transient-error", "false"],
] as const;

type Refusal = (headers: Record<string, string>) => Reply;

const REFUSALS: [string, Refusal][] = [
  ["the first request still runs", (headers) => problem(409, "idempotency_in_flight", headers)],
  ["the store is unavailable", (headers) => problem(503, "idempotency_unavailable", headers)],
  ["the outcome is unknown", (headers) => problem(500, "idempotency_outcome_unknown", headers)],
  [
    "a key is in use, in Stripe's words",
    (headers) => json(409, { error: { code: "idempotency_key_in_use" } }, headers),
  ],
  ["Adyen's 704", (headers) => json(422, { errorCode: "704" }, headers)],
  ["uncertain, in Echo's words", (headers) => json(409, { code: "OPERATION_UNCERTAIN" }, headers)],
  [
    "a key in unknown words, with a time",
    (headers) =>
      json(409, { reason: "this key is being processed" }, { ...headers, "retry-after": "1" }),
  ],
  [
    "a key in unknown words",
    (headers) => json(409, { reason: "the same key is pending" }, headers),
  ],
  ["too many requests", (headers) => json(429, { message: "slow down" }, headers)],
  ["an error of the server", (headers) => json(500, { message: "oops" }, headers)],
  ["a gateway", (headers) => json(503, { message: "unavailable" }, headers)],
];

describe.each(ADVICE)("%s: %s", (name, value) => {
  it.each(REFUSALS)("keeps the key and sends nothing more: %s", async (_what, refuse) => {
    const refusal = refuse({ [name]: value });
    await withServer([refusal, done], async ({ url, seen }) => {
      const { client, order } = createShop(url);
      const result = await order.run(cart);
      expect(result).toMatchObject({ kind: "unknown", attempts: 1 });
      expect(await client.pending()).toMatchObject([{ key: result.key }]);
      expect(await order.run(cart)).toMatchObject({ kind: "done", key: result.key });
      expect(seen).toHaveLength(2);
    });
  });

  it.each(REFUSALS)("keeps the key after a lost reply: %s", async (_what, refuse) => {
    const refusal = refuse({ [name]: value });
    await withServer([reset, refusal, done], async ({ url, seen }) => {
      const { order } = createShop(url);
      const result = await order.run(cart);
      expect(result).toMatchObject({ kind: "unknown", attempts: 2 });
      expect(await order.run(cart)).toMatchObject({ kind: "done", key: result.key });
      expect(seen).toHaveLength(3);
    });
  });
});

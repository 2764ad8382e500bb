import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cart, createShop } from "../support/shop.ts";
import { done, json, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";

const PROBLEM = { "content-type": "application/problem+json" };

const ietf = (status: number, title: string): Reply =>
  json(
    status,
    { type: "https://developer.example.com/idempotency", title, detail: "Words." },
    PROBLEM,
  );

const echo = (code: string, status: number, state: string): Reply =>
  json(
    status,
    {
      code,
      operation_ref: "AAAAAAAAAAAAAAAAAAAAAAAA",
      operation_state: state,
      safe_new_key: false,
      status,
      title: status === 409 ? "Conflict" : "Unprocessable Entity",
      type: `https://echo.labstack.com/pro/problems/${code.replaceAll("_", "-")}`,
    },
    PROBLEM,
  );

const shopify = (code: string, message: string): Reply =>
  json(200, {
    data: { refundCreate: { refund: null, userErrors: [{ field: null, message, code }] } },
  });

/** Each service's in-flight error, as its source quotes it. */
const IN_FLIGHT: [string, Reply][] = [
  // draft-ietf-httpapi-idempotency-key-header-07 §2.7
  ["draft-07", ietf(409, "A request is outstanding for this Idempotency-Key")],
  // https://docs.stripe.com/error-codes#idempotency-key-in-use
  ["Stripe", json(409, { error: { type: "idempotency_error", code: "idempotency_key_in_use" } })],
  // https://docs.nestjs.com/reliability/idempotency: 409 IDEMPOTENCY_KEY_IN_USE with Retry-After
  [
    "@nestjs/idempotency",
    json(
      409,
      { statusCode: 409, code: "IDEMPOTENCY_KEY_IN_USE", message: "In progress." },
      { "retry-after": "0" },
    ),
  ],
  [
    "@nestjs/idempotency in GraphQL",
    json(200, {
      data: null,
      errors: [{ message: "In progress.", extensions: { code: "IDEMPOTENCY_KEY_IN_USE" } }],
    }),
  ],
  // Agentic Commerce Protocol: "409 idempotency_in_flight with Retry-After header"
  ["ACP", json(409, { type: "invalid_request", code: "idempotency_in_flight", message: "Wait." })],
  // https://docs.adyen.com/development-resources/api-idempotency: "error code 704: 'request already processed or in progress'"
  [
    "Adyen",
    json(
      422,
      {
        status: 422,
        errorCode: "704",
        message: "request already processed or in progress",
        errorType: "validation",
      },
      { "transient-error": "true" },
    ),
  ],
  // https://developer.paypal.com/api/rest/reference/idempotency: of two simultaneous requests it "might fail the second"
  [
    "PayPal",
    json(409, { name: "RESOURCE_CONFLICT", details: [{ issue: "PREVIOUS_REQUEST_IN_PROGRESS" }] }),
  ],
  // https://shopify.dev/docs/api/usage/implementing-idempotency: "This request is currently in progress, please try again."
  [
    "Shopify",
    shopify(
      "IDEMPOTENCY_CONCURRENT_REQUEST",
      "This request is currently in progress, please try again.",
    ),
  ],
  // https://echo.labstack.com/pro/problems/operation-in-progress: "Do not switch to a new key"
  ["Echo", echo("operation_in_progress", 409, "started")],
  ["a list of names", json(409, { error: ["idempotency_key_in_use"] })],
];

const CONFLICT: [string, Reply][] = [
  ["draft-07", ietf(422, "Idempotency-Key is already used")],
  // https://docs.stripe.com/error-low-level: "an Idempotency-Key is re-used on a request that does not match the first"
  ["Stripe", json(400, { error: { type: "idempotency_error", message: "Words." } })],
  // https://docs.nestjs.com/reliability/idempotency: 422 IDEMPOTENCY_KEY_REUSED
  ["@nestjs/idempotency", json(422, { statusCode: 422, code: "IDEMPOTENCY_KEY_REUSED" })],
  ["ACP", json(409, { type: "invalid_request", code: "idempotency_conflict", message: "Words." })],
  // https://developer.squareup.com/reference/square/enums/ErrorCode
  [
    "Square",
    json(400, {
      errors: [
        {
          category: "INVALID_REQUEST_ERROR",
          code: "IDEMPOTENCY_KEY_REUSED",
          detail: "Different request parameters used for the same idempotency_key",
        },
      ],
    }),
  ],
  // https://developer.paypal.com/api/payment-tokens/v3/errors/paypal_request_id_previously_used
  [
    "PayPal",
    json(422, {
      name: "UNPROCESSABLE_ENTITY",
      details: [
        {
          issue: "PAYPAL_REQUEST_ID_PREVIOUSLY_USED",
          description: "The PayPal-Request-ID has already been used for another request.",
        },
      ],
    }),
  ],
  // https://shopify.dev/docs/api/usage/implementing-idempotency
  [
    "Shopify",
    shopify(
      "IDEMPOTENCY_KEY_PARAMETER_MISMATCH",
      "The same idempotency key cannot be used with different operation parameters.",
    ),
  ],
  // https://echo.labstack.com/pro/problems/idempotency-key-reused
  ["Echo", echo("idempotency_key_reused", 422, "")],
];

const UNKNOWN: [string, Reply][] = [
  // https://increase.com/documentation/idempotency-keys: a 409 "with the type field set to idempotency_key_already_used_error"
  [
    "Increase",
    json(409, {
      status: 409,
      type: "idempotency_key_already_used_error",
      resource_id: "ach_transfer_1",
    }),
  ],
  // https://developer.paypal.com/api/payment-experience/v1/errors/duplicate_request_id
  [
    "PayPal",
    json(400, {
      name: "DUPLICATE_REQUEST_ID",
      message: "The value of PayPal-Request-Id header has already been used.",
    }),
  ],
  // https://echo.labstack.com/pro/problems/: "Do not retry automatically, with either the same key or a new one."
  ["Echo's operation_uncertain", echo("operation_uncertain", 409, "uncertain")],
  ["Echo's operation_abandoned", echo("operation_abandoned", 409, "uncertain")],
  ["Echo's operation_disputed", echo("operation_disputed", 409, "uncertain")],
  ["Echo's operation_result_unavailable", echo("operation_result_unavailable", 409, "completed")],
];

const REQUIRED: [string, Reply][] = [
  ["draft-07", ietf(400, "Idempotency-Key is missing")],
  ["@nestjs/idempotency", json(400, { statusCode: 400, code: "IDEMPOTENCY_KEY_REQUIRED" })],
  ["ACP", json(400, { type: "invalid_request", code: "idempotency_key_required" })],
];

describe("a known service", () => {
  it.each(IN_FLIGHT)("is polled while the first request runs: %s", async (_name, reply) => {
    await withServer([reply, reply, done], async ({ url, seen }) => {
      const { order, warnings } = createShop(url, { attempts: 1 });
      expect(await order.run(cart)).toMatchObject({ kind: "done", attempts: 1 });
      expect(new Set(seen.map(({ key }) => key)).size).toBe(1);
      expect([seen.length, warnings]).toEqual([3, []]);
    });
  });

  it.each(CONFLICT)("has the key for another request: %s", async (_name, reply) => {
    await withServer([reply], async ({ url, seen }) => {
      const error = { code: "idempotency_conflict" };
      expect(await createShop(url).order.run(cart)).toMatchObject({ kind: "rejected", error });
      expect(seen).toHaveLength(1);
    });
  });

  it.each(UNKNOWN)("does not tell what became of the first request: %s", async (_name, reply) => {
    await withServer([reply], async ({ url, seen }) => {
      const { order, client } = createShop(url);
      const result = await order.run(cart);
      const error = { code: "idempotency_outcome_unknown" };
      expect(result).toMatchObject({ kind: "unknown", error });
      expect(await client.pending()).toMatchObject([{ key: result.key }]);
      expect(seen).toHaveLength(1);
    });
  });

  it.each(REQUIRED)("requires a key: %s", async (_name, reply) => {
    await withServer([reply], async ({ url }) => {
      const error = { code: "idempotency_key_required", status: 400 };
      expect(await createShop(url).order.run(cart)).toMatchObject({ kind: "rejected", error });
    });
  });

  it("is not asked again if Adyen calls its error not transient", async () => {
    const reply = json(422, { errorCode: "704" }, { "transient-error": "false" });
    await withServer([reply], async ({ url, seen }) => {
      expect((await createShop(url).order.run(cart)).kind).toBe("unknown");
      expect(seen).toHaveLength(1);
    });
  });

  it("may allow a new key itself", async () => {
    const reply = json(409, { code: "operation_abandoned", safe_new_key: true });
    await withServer([reply], async ({ url }) => {
      expect((await createShop(url).order.run(cart)).kind).toBe("rejected");
    });
  });
});

describe("a service's error that is not about keys", () => {
  it.each<[string, Reply, object]>([
    [
      "a card that Stripe declines",
      json(402, { error: { type: "card_error", code: "card_declined", message: "Declined." } }),
      { status: 402, message: "Declined." },
    ],
    ["a number that is no code of Adyen", json(422, { code: "704" }), { status: 422 }],
    ["an address that is taken", json(409, { code: "duplicate_email" }), { status: 409 }],
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

describe("an unknown wording of a refused key", () => {
  const words = fc.constantFrom(
    "IdempotencyKeyAlreadyExists",
    "idempotency_key_locked",
    "IDEMPOTENCY_FINGERPRINT_MISSMATCH",
    "Duplicate request",
    "DUPLICATE_TRANSACTION",
    "possible duplicate",
    "REQUEST_IN_PROGRESS",
    "The original request is still being processed",
    "Payment already processed",
    "request already accepted",
    "another transaction is pending",
    "The provided key was used before",
    "concurrent_request",
    "operation outcome uncertain",
    "command_in_progress",
  );
  const body = fc.oneof(
    words.map((code) => ({ code })),
    words.map((message) => ({ error: { message } })),
    words.map((title) => ({ type: "about:blank", title })),
    words.map((detail) => ({ errors: [{ status: "409", detail }] })),
    words.map((text) => ({ message: "Conflict", error: { meta: { conflictReason: text } } })),
  );

  it("never ends in a new key", async () => {
    await fc.assert(
      fc.asyncProperty(
        body,
        fc.constantFrom(400, 402, 404, 409, 410, 412, 422, 423),
        fc.boolean(),
        async (refusal, status, isEchoed) => {
          const headers = isEchoed ? {} : { "idempotency-key": "" };
          await withServer([json(status, refusal, headers)], async ({ url, seen }) => {
            const { order, client } = createShop(url);
            const result = await order.run(cart);
            expect(result).toMatchObject({ kind: "unknown", error: { nextAction: "resume" } });
            expect(await client.pending()).toMatchObject([{ key: result.key }]);
            expect(new Set(seen.map(({ key }) => key)).size).toBe(1);
          });
        },
      ),
      { numRuns: 60 },
    );
  });
});

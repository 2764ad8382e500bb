import { EXPOSED_HEADERS } from "@oncekey/shared";
import { idempotency } from "@oncekey/server";
import Fastify from "fastify";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { addPayments, countPayments, createPayments, withShop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await createPayments(pool);
});

describe("a protected route", () => {
  it("runs once for a key and answers every repeat with the first response", async () => {
    await withShop(
      { pool },
      (app) => addPayments(app),
      async ({ post }) => {
        const before = await countPayments(pool);
        const request = { key: "once", json: { amount: 5 } };
        const first = await post("/payments", request);
        const again = await post("/payments", request);
        expect([first.status, again.status]).toEqual([201, 201]);
        expect(again.bytes).toEqual(first.bytes);
        expect(again.headers.get("location")).toBe(first.headers.get("location"));
        expect(await countPayments(pool)).toBe(before + 1);
      },
    );
  });

  it("carries the key and its lifetime on every reply, and the mark of a replay only there", async () => {
    await withShop(
      { pool, retentionMs: 60_000, fenceMs: 90_500 },
      (app) => addPayments(app),
      async ({ post }) => {
        const request = { key: "marks", json: { amount: 5 } };
        const first = (await post("/payments", request)).headers;
        expect(first.get("idempotency-key")).toBe("marks");
        expect(first.get("idempotency-key-lifetime")).toBe("90");
        expect(first.get("idempotent-replayed")).toBeNull();
        const again = (await post("/payments", request)).headers;
        expect(again.get("idempotency-key")).toBe("marks");
        expect(again.get("idempotency-key-lifetime")).toMatch(/^(90|89)$/);
        expect(again.get("idempotent-replayed")).toBe("true");
        expect(again.get("idempotency-mismatch")).toBeNull();
        expect(again.get("cache-control")).toBe("no-store");
        for (const name of [...again.keys()].filter((header) => header.startsWith("idempot"))) {
          expect(EXPOSED_HEADERS.map((header) => header.toLowerCase())).toContain(name);
        }
      },
    );
  });

  it("sends no lifetime to a request without a key", async () => {
    await withShop(
      { pool, required: false },
      (app) => addPayments(app),
      async ({ post }) => {
        const { status, headers } = await post("/payments", { json: { amount: 5 } });
        expect(status).toBe(201);
        expect(headers.get("idempotency-key-lifetime")).toBeNull();
      },
    );
  });

  it("takes a bare key and the same key as a structured string for one", async () => {
    await withShop(
      { pool },
      (app) => addPayments(app),
      async ({ post }) => {
        const first = await post("/payments", { key: "both", json: { amount: 5 } });
        const again = await post("/payments", { key: '"both";v=1', json: { amount: 5 } });
        expect(again.bytes).toEqual(first.bytes);
        expect(again.headers.get("idempotent-replayed")).toBe("true");
      },
    );
  });

  it.each([
    ["missing", undefined, "idempotency_key_required"],
    ["empty", "", "idempotency_key_invalid"],
    ["an unclosed string", '"abc', "idempotency_key_invalid"],
    ["two words", "a b", "idempotency_key_invalid"],
    ["256 characters", "k".repeat(256), "idempotency_key_invalid"],
  ])(
    "refuses a key that is %s with a problem document and runs nothing",
    async (_name, key, code) => {
      await withShop(
        { pool },
        (app) => addPayments(app),
        async ({ post }) => {
          const before = await countPayments(pool);
          const answer = await post("/payments", { key, json: { amount: 5 } });
          expect(answer.status).toBe(400);
          expect(answer.headers.get("content-type")).toBe("application/problem+json");
          expect(answer.headers.get("cache-control")).toBe("no-store");
          expect(answer.headers.get("idempotency-key-lifetime")).toBeNull();
          expect(answer.json()).toMatchObject({
            code,
            status: 400,
            retryable: false,
            type: `urn:oncekey:problem:${code}`,
          });
          expect(await countPayments(pool)).toBe(before);
        },
      );
    },
  );

  it("refuses a key that was sent twice, which Node would join into one", async () => {
    await withShop(
      { pool },
      (app) => addPayments(app),
      async ({ app }) => {
        const answer = await app.inject({
          method: "POST",
          url: "/payments",
          payload: { amount: 5 },
          headers: { "idempotency-key": ["a", "a"] },
        });
        expect(answer.statusCode).toBe(400);
        expect(answer.json()).toMatchObject({
          code: "idempotency_key_invalid",
          detail: expect.stringContaining("more than once"),
        });
      },
    );
  });

  it("uses problemBaseUri for the type of its problems", async () => {
    await withShop(
      { pool, problemBaseUri: "https://pay.example/problems/" },
      (app) => addPayments(app),
      async ({ post }) => {
        expect((await post("/payments")).json()).toMatchObject({
          type: "https://pay.example/problems/idempotency_key_required",
        });
      },
    );
  });

  it("spends no key on a request that fails validation or authentication", async () => {
    let isAllowed = false;
    await withShop(
      { pool },
      (app) => {
        app.addHook("preHandler", async (_request, reply) => {
          if (!isAllowed) await reply.code(401).send({ error: "who are you" });
        });
        const schema = { body: { type: "object", required: ["amount"] } };
        app.post("/checked", { schema, config: { idempotency: true } }, async () => "done");
      },
      async ({ post }) => {
        expect((await post("/checked", { key: "spent", json: {} })).status).toBe(400);
        expect((await post("/checked", { key: "spent", json: { amount: 1 } })).status).toBe(401);
        isAllowed = true;
        const answer = await post("/checked", { key: "spent", json: { amount: 1 } });
        expect([answer.status, answer.headers.get("idempotent-replayed")]).toEqual([200, null]);
        isAllowed = false;
        expect(
          (await post("/checked", { key: "spent", json: { amount: 1 } })).status,
          "a replay, too, is authenticated",
        ).toBe(401);
      },
    );
  });

  it("without a key, on a route that requires none, runs in a transaction that stores nothing", async () => {
    await withShop(
      { pool },
      (app) => addPayments(app, { required: false }),
      async ({ post }) => {
        const before = await countPayments(pool);
        const answers = [
          await post("/payments", { json: { amount: 5 } }),
          await post("/payments", { json: { amount: 5 } }),
        ];
        expect(answers.map(({ status }) => status)).toEqual([201, 201]);
        expect(answers[0]?.headers.get("idempotency-key")).toBeNull();
        expect(await countPayments(pool)).toBe(before + 2);
      },
    );
  });
});

describe("a route that is not protected", () => {
  it("is untouched", async () => {
    await withShop(
      { pool },
      (app) => app.post("/plain", async () => "plain"),
      async ({ post }) => {
        const answer = await post("/plain", { key: "k" });
        expect([answer.status, answer.text]).toEqual([200, "plain"]);
        expect(answer.headers.get("idempotency-key")).toBeNull();
      },
    );
  });

  it("is refused, not run, if its route was protected before the plugin was loaded", async () => {
    const app = Fastify();
    let runs = 0;
    void app.register(idempotency, { pool, scope: "single-tenant" });
    app.post("/early", { config: { idempotency: true } }, async () => String((runs += 1)));
    const answer = await app.inject({
      method: "POST",
      url: "/early",
      headers: { "idempotency-key": "k" },
    });
    await app.close();
    expect([answer.statusCode, runs]).toEqual([500, 0]);
    expect(answer.json().message).toContain("await app.register(idempotency");
  });
});

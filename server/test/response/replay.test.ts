import { setTimeout as sleep } from "node:timers/promises";
import type { FastifyInstance } from "fastify";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createGate } from "../support/gate.ts";
import { addPayments, countPayments, createPayments, withShop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await createPayments(pool);
});

describe("same key, other request", () => {
  it("is answered with the original response and the mark of a mismatch", async () => {
    await withShop(
      { pool },
      (app) => addPayments(app),
      async ({ post }) => {
        const first = await post("/payments", { key: "other", json: { amount: 1 } });
        const before = await countPayments(pool);
        const other = await post("/payments", { key: "other", json: { amount: 2 } });
        expect(other.bytes).toEqual(first.bytes);
        expect(other.status).toBe(201);
        expect(other.headers.get("idempotency-mismatch")).toBe("true");
        expect(other.headers.get("idempotent-replayed")).toBe("true");
        expect(await countPayments(pool)).toBe(before);
      },
    );
  });

  it.each([
    ["replay", 410, "idempotency_response_not_stored", "true"],
    ["reject", 422, "idempotency_conflict", null],
  ] as const)(
    "is told so where the original's body could not be kept, under '%s'",
    async (mismatch, status, code, mark) => {
      await withShop(
        { pool, mismatch, maxResponseBytes: 1 },
        (app) => addPayments(app),
        async ({ post }) => {
          const key = `unkept-${mismatch}`;
          await post("/payments", { key, json: { amount: 1 } });
          const same = await post("/payments", { key, json: { amount: 1 } });
          expect([same.status, same.headers.get("idempotency-mismatch")]).toEqual([410, null]);
          const other = await post("/payments", { key, json: { amount: 2 } });
          expect([other.status, other.headers.get("idempotency-mismatch")]).toEqual([status, mark]);
          expect(other.json()).toMatchObject({ code });
        },
      );
    },
  );

  it.each([
    ["replay", 201, { of: 2 }, "true"],
    ["reject", 422, { code: "idempotency_conflict" }, null],
  ] as const)(
    "is what the first one is told of that was forgotten while it ran, under '%s'",
    async (mismatch, status, body, mark) => {
      const gate = createGate();
      const lease = { strategy: "lease", lease: { onCrash: "fail" } } as const;
      const routes = (app: FastifyInstance) =>
        app.post<{ Body: { of: number } }>(
          "/held",
          { config: { idempotency: lease } },
          async ({ body: { of } }, reply) => {
            if (of === 1) await gate.pass();
            return reply.code(201).send({ of });
          },
        );
      await withShop({ pool, mismatch }, routes, async (one) => {
        const key = `forgotten-${mismatch}`;
        const first = one.post("/held", { key, json: { of: 1 } });
        await gate.reached;
        await pool.query("delete from oncekey.records where key = $1", [key]);
        await withShop({ pool: database.pool({ max: 4 }), mismatch }, routes, async (two) => {
          expect((await two.post("/held", { key, json: { of: 2 } })).json()).toEqual({ of: 2 });
        });
        gate.open();
        const late = await first;
        expect([late.status, late.headers.get("idempotency-mismatch")]).toEqual([status, mark]);
        expect(late.json()).toMatchObject(body);
      });
    },
  );

  it("is refused with 422 under 'reject', and the first response stays", async () => {
    await withShop(
      { pool, mismatch: "reject" },
      (app) => addPayments(app),
      async ({ post }) => {
        const first = await post("/payments", { key: "strict", json: { amount: 1 } });
        const other = await post("/payments", { key: "strict", json: { amount: 2 } });
        expect(other.status).toBe(422);
        expect(other.json()).toMatchObject({ code: "idempotency_conflict", retryable: false });
        expect((await post("/payments", { key: "strict", json: { amount: 1 } })).bytes).toEqual(
          first.bytes,
        );
      },
    );
  });

  it("is the same request where the fingerprint option leaves the difference out", async () => {
    const fingerprint = (request: { body: unknown }) => (request.body as { amount: number }).amount;
    await withShop(
      { pool, mismatch: "reject", fingerprint },
      (app) => addPayments(app),
      async ({ post }) => {
        await post("/payments", { key: "loose", json: { amount: 1, at: 1 } });
        expect((await post("/payments", { key: "loose", json: { amount: 1, at: 2 } })).status).toBe(
          201,
        );
        expect((await post("/payments", { key: "loose", json: { amount: 2, at: 1 } })).status).toBe(
          422,
        );
      },
    );
  });
});

describe("only if stored", () => {
  const headers = { "idempotency-only-if-stored": "true" };

  it("answers what is stored, and 404 where nothing is, and starts nothing", async () => {
    await withShop(
      { pool },
      (app) => addPayments(app),
      async ({ post }) => {
        const before = await countPayments(pool);
        const absent = await post("/payments", { key: "asked", json: { amount: 1 }, headers });
        expect(absent.status).toBe(404);
        expect(absent.json()).toMatchObject({ code: "idempotency_not_found" });
        expect(await countPayments(pool)).toBe(before);
        const first = await post("/payments", { key: "asked", json: { amount: 1 } });
        const stored = await post("/payments", { key: "asked", json: { amount: 1 }, headers });
        expect(stored.bytes).toEqual(first.bytes);
        expect(stored.headers.get("idempotent-replayed")).toBe("true");
      },
    );
  });

  it.each(["1", "TRUE", "?1", ""])(
    "counts as asked with the value %j too, because nothing may start by mistake",
    async (value) => {
      await withShop(
        { pool },
        (app) => addPayments(app),
        async ({ post }) => {
          const asked = { "idempotency-only-if-stored": value };
          expect(
            (await post("/payments", { key: "value", json: { amount: 1 }, headers: asked })).status,
          ).toBe(404);
        },
      );
    },
  );

  it.each(["false", "?0"])("runs the handler if the value is a plain no: %j", async (value) => {
    await withShop(
      { pool },
      (app) => addPayments(app),
      async ({ post }) => {
        const plainNo = { "idempotency-only-if-stored": value };
        const request = { key: `no-${value}`, json: { amount: 1 }, headers: plainNo };
        const made = await post("/payments", request);
        expect([made.status, made.headers.get("idempotent-replayed")]).toEqual([201, null]);
      },
    );
  });

  it("needs a key even where the route does not", async () => {
    await withShop(
      { pool },
      (app) => addPayments(app, { required: false }),
      async ({ post }) => {
        expect((await post("/payments", { json: { amount: 1 }, headers })).json()).toMatchObject({
          code: "idempotency_key_required",
        });
      },
    );
  });
});

describe("retention", () => {
  it("ends the replay: after its fence the key counts as new, by the clock of the database", async () => {
    await withShop(
      { pool, retentionMs: 1_000, fenceMs: 1_000 },
      (app) => addPayments(app),
      async ({ post }) => {
        const before = await countPayments(pool);
        const request = { key: "short", json: { amount: 1 } };
        await post("/payments", request);
        await pool.query(
          "update oncekey.records set expires_at = statement_timestamp(), fence_until = null where key = 'short'",
        );
        await sleep(2);
        expect((await post("/payments", request)).headers.get("idempotent-replayed")).toBeNull();
        expect(await countPayments(pool)).toBe(before + 2);
      },
    );
  });
});

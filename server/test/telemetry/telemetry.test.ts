import { idempotency } from "@oncekey/server";
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createGate } from "../support/gate.ts";
import { listening } from "../support/listening.ts";
import { addPayments, createPayments, withShop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await createPayments(pool);
});

describe("oncekey:begin", () => {
  it("names what was decided for each request, with its strategy and the route as it was registered", async () => {
    await listening("oncekey:begin", (events) =>
      withShop(
        { pool, strategy: "row" },
        (app) => {
          app.post("/orders/:id", { config: { idempotency: true } }, async () => "done");
        },
        async ({ post }) => {
          const key = crypto.randomUUID();
          await post("/orders/1", { key, json: 1 });
          await post("/orders/1", { key, json: 1 });
          await post("/orders/1", { key, json: 2 });
          const onlyIfStored = { "idempotency-only-if-stored": "true" };
          await post("/orders/2", { key, headers: onlyIfStored });
          await post("/orders/1");
          expect(events.map(({ outcome }) => outcome)).toEqual([
            "claimed",
            "replay",
            "mismatch",
            "absent",
            "refused",
          ]);
          expect(events[0]).toMatchObject({
            strategy: "row",
            method: "POST",
            route: "/orders/:id",
            waitMs: 0,
          });
          expect(events[0]?.beginMs).toBeGreaterThan(0);
        },
      ),
    );
  });

  it.each([
    ["this server", false],
    ["another one, which it polls", true],
  ])(
    "publishes the waiting time of a duplicate that is held for %s apart from the look-up time",
    async (_name, isElsewhere) => {
      const gate = createGate();
      const addSlow = (app: FastifyInstance): unknown =>
        app.post("/slow", { config: { idempotency: true } }, async () => {
          await gate.pass();
          return "done";
        });
      const options = { pool, waitMs: 500 };
      await listening("oncekey:begin", (events) =>
        withShop(options, addSlow, (one) =>
          withShop(options, addSlow, async (other) => {
            const key = crypto.randomUUID();
            const first = one.post("/slow", { key });
            await gate.reached;
            const asked = isElsewhere ? other : one;
            expect((await asked.post("/slow", { key })).status).toBe(409);
            gate.open();
            await first;
            const [, held] = events;
            expect(held?.outcome).toBe("in-flight");
            expect(held?.waitMs).toBeGreaterThan(held?.beginMs ?? Infinity);
          }),
        ),
      );
    },
  );

  it("names another request under mismatch 'reject', a request without a key, and a store that is down", async () => {
    await listening("oncekey:begin", async (events) => {
      await withShop(
        { pool, mismatch: "reject" },
        (app) => addPayments(app),
        async ({ post }) => {
          const key = crypto.randomUUID();
          await post("/payments", { key, json: { amount: 1 } });
          await post("/payments", { key, json: { amount: 2 } });
        },
      );
      const broken = database.pool();
      await broken.end();
      await withShop(
        { pool: broken, sweep: false },
        (app) => app.post("/pay", { config: { idempotency: true } }, async () => "ran"),
        async ({ post }) => void (await post("/pay", { key: crypto.randomUUID() })),
      );
      await withShop(
        { pool, required: false },
        (app) => app.post("/pay", { config: { idempotency: true } }, async () => "ran"),
        async ({ post }) => void (await post("/pay")),
      );
      expect(events.map(({ outcome }) => outcome)).toEqual([
        "claimed",
        "conflict",
        "unavailable",
        "keyless",
      ]);
    });
  });

  it("correlates a key by a digest, without key, scope, body or parameter", async () => {
    const secrets = { key: "key-in-clear", scope: "alice-in-clear", id: "id-in-clear" };
    await listening("oncekey:begin", (begun) =>
      listening("oncekey:complete", (completed) =>
        withShop(
          { pool, scope: () => secrets.scope },
          (app) => {
            app.post("/orders/:id", { config: { idempotency: true } }, async () => "done");
          },
          async ({ post }) => {
            const path = `/orders/${secrets.id}?q=query-in-clear`;
            await post(path, { key: secrets.key, json: "body-in-clear" });
            await post(path, { key: secrets.key, json: "body-in-clear" });
            await post(path, { key: "another-in-clear", json: "body-in-clear" });
            expect(JSON.stringify([begun, completed])).not.toContain("in-clear");
            const digests = [...begun, ...completed].map(({ keyDigest }) => keyDigest);
            expect(digests[0]).toMatch(/^[0-9a-f]{16}$/);
            const [first, again, other, firstEnd, otherEnd] = digests;
            expect([again, firstEnd, otherEnd]).toEqual([first, first, other]);
            expect(other).not.toBe(first);
          },
        ),
      ),
    );
  });
});

describe("oncekey:complete", () => {
  it("publishes how each claim ended and how long that took", async () => {
    await listening("oncekey:complete", (events) =>
      withShop(
        { pool, required: false },
        (app) => {
          const protect = { config: { idempotency: true } };
          app.post("/stored", protect, async () => "done");
          app.post("/busy", protect, async (_request, reply) => reply.code(429).send("busy"));
          app.post("/broken", protect, async () => {
            throw new Error("broken");
          });
          app.post("/hijacked", protect, (_request, reply) => {
            reply.hijack();
            reply.raw.end("by hand");
          });
        },
        async ({ post }) => {
          for (const path of ["/stored", "/busy", "/broken", "/hijacked"])
            await post(path, { key: crypto.randomUUID() });
          // A reply that the handler sends itself leaves before its claim has ended.
          await expect.poll(() => events.length).toBe(4);
          await post("/stored");
          await expect.poll(() => events.length).toBe(5);
          expect(events.map(({ route, outcome }) => `${route} ${outcome}`)).toEqual([
            "/stored stored",
            "/busy released",
            "/broken failed",
            "/hijacked failed",
            "/stored committed",
          ]);
          expect(events.at(-1)?.keyDigest).toBeUndefined();
          for (const { completeMs } of events) expect(completeMs).toBeGreaterThan(0);
        },
      ),
    );
  });
});

describe("oncekey:sweep", () => {
  it("counts the rows of each batch, whatever caller started it", async () => {
    await pool.query(
      `insert into oncekey.records (key, scope, target, fingerprint, status, headers, created_at, expires_at)
       select gen_random_uuid()::text, 's', 't', '\\x01', 200, '[]', now() - interval '2 days', now() - interval '1 day'
       from generate_series(1, 1200)`,
    );
    await listening("oncekey:sweep", (events) =>
      withShop(
        { pool, sweep: false },
        () => undefined,
        async ({ app }) => {
          expect(await app.idempotency.sweep()).toMatchObject({ deleted: 1_200 });
          expect(events.map(({ deletedRows }) => deletedRows)).toEqual([1_000, 200]);
          expect(events[0]?.sweepMs).toBeGreaterThan(0);
        },
      ),
    );
  });
});

describe("the log", () => {
  it("carries the digest of the events, without key, scope or body", async () => {
    const lines: string[] = [];
    const app = Fastify({ logger: { stream: { write: (line) => lines.push(line) } } });
    const broken = database.pool();
    await broken.end();
    await app.register(idempotency, {
      pool: broken,
      scope: () => "scope-in-clear",
      sweep: false,
    });
    app.post("/orders", { config: { idempotency: true } }, async () => "done");
    await listening("oncekey:begin", async (events) => {
      const { statusCode } = await app.inject({
        method: "POST",
        url: "/orders",
        headers: { "idempotency-key": "key-in-clear" },
        payload: { body: "body-in-clear" },
      });
      expect(statusCode).toBe(503);
      const logged = lines.map((line) => JSON.parse(line) as { keyDigest?: string });
      const digests = logged.map(({ keyDigest }) => keyDigest).filter(Boolean);
      expect(digests).toEqual([events[0]?.keyDigest]);
      expect(lines.join("")).not.toContain("in-clear");
    });
    await app.close();
  });
});

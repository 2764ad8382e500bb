import type { FastifyInstance } from "fastify";
import type pg from "pg";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { transactional } from "@oncekey/server";
import type { OnCrash } from "@oncekey/server";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { countPayments, createPayments, withShop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
let charges = 0;
beforeAll(async () => {
  pool = database.pool();
  await createPayments(pool);
});
beforeEach(() => {
  charges = 0;
});

function leased(onCrash: OnCrash): { config: { idempotency: object } } {
  return { config: { idempotency: { strategy: "lease", lease: { onCrash } } } };
}

/** Charges, then writes, then answers with the status of the test. */
function addCharges(app: FastifyInstance, answer: (attempt: number) => number): void {
  app.post("/charges", leased("rerun"), async (request, reply) => {
    const { step, commit, attempt } = request.idempotency;
    const charge = await step("charge", () => (charges += 1));
    const id = await commit(async (tx) => {
      const { rows } = await tx.query<{ id: number }>(
        "insert into payments (amount) values ($1) returning id",
        [charge],
      );
      return rows[0]?.id;
    });
    const status = answer(attempt);
    if (status === 0) throw new Error("the handler broke off");
    return reply.code(status).send({ id, attempt });
  });
}

describe("charge, then write", () => {
  it("has one charge, one row and one response for all requests under a key", async () => {
    await withShop(
      { pool },
      (app) => addCharges(app, () => 201),
      async ({ post }) => {
        const before = await countPayments(pool);
        const first = await post("/charges", { key: "one" });
        const again = await post("/charges", { key: "one" });
        expect([first.status, again.status, again.text]).toEqual([201, 201, first.text]);
        expect(again.headers.get("idempotent-replayed")).toBe("true");
        expect([charges, (await countPayments(pool)) - before]).toEqual([1, 1]);
      },
    );
  });

  it.each<[string, number]>([
    ["throws behind its writes", 0],
    ["answers 502", 502],
    ["answers 429", 429],
  ])(
    "keeps the charge and not the row if the handler %s: the retry writes it",
    async (_name, status) => {
      await withShop(
        { pool },
        (app) => addCharges(app, (attempt) => (attempt === 1 ? status : 201)),
        async ({ post }) => {
          const key = `retried-${status}`;
          const before = await countPayments(pool);
          expect((await post("/charges", { key })).status).toBe(status || 500);
          expect([charges, (await countPayments(pool)) - before]).toEqual([1, 0]);
          expect((await post("/charges", { key })).json()).toMatchObject({ attempt: 2 });
          expect([charges, (await countPayments(pool)) - before]).toEqual([1, 1]);
        },
      );
    },
  );

  it("keeps the charge and closes the key if Postgres refuses the last writes at COMMIT", async () => {
    await pool.query(
      "create table if not exists receipts (payment integer references payments (id) deferrable initially deferred)",
    );
    await withShop(
      { pool },
      (app) =>
        app.post("/charges", leased("fail"), async ({ idempotency: { step, commit } }, reply) => {
          await step("charge", () => (charges += 1));
          await commit((tx) => tx.query("insert into receipts values (-1)"));
          return reply.code(201).send({});
        }),
      async ({ post }) => {
        const refused = await post("/charges", { key: "deferred" });
        expect([refused.status, refused.json()]).toMatchObject([
          500,
          {
            code: "idempotency_writes_refused",
            retryable: false,
            detail:
              "The database refused the writes of the handler; its last writes were rolled back, and the key counts as crashed",
          },
        ]);
        const again = await post("/charges", { key: "deferred" });
        expect([again.json()["code"], charges]).toEqual(["idempotency_outcome_unknown", 1]);
      },
    );
  });

  it("takes repositories behind transactional(pool) into its transaction", async () => {
    const shared = transactional(pool);
    await withShop(
      { pool },
      (app) =>
        app.post("/charges", leased("fail"), async (request, reply) => {
          await request.idempotency.commit(() =>
            shared.query("insert into payments (amount) values (7)"),
          );
          return reply.code(429).send("not now");
        }),
      async ({ post }) => {
        const before = await countPayments(pool);
        expect((await post("/charges", { key: "repository" })).status).toBe(429);
        expect(await countPayments(pool)).toBe(before);
      },
    );
  });

  it("gives its connection back after maxHandlerMs if the handler never replies", async () => {
    const ended = Promise.withResolvers<unknown>();
    await withShop(
      { pool, maxHandlerMs: 1_000 },
      (app) =>
        app.post("/charges", leased("fail"), async ({ idempotency: { commit, signal } }) => {
          signal.addEventListener("abort", () => ended.resolve(signal.reason));
          await commit((tx) => tx.query("insert into payments (amount) values (7)"));
          return new Promise(() => {});
        }),
      async ({ post }) => {
        const before = await countPayments(pool);
        const answer = await post("/charges", { key: "endless" });
        expect(answer.json()).toMatchObject({
          code: "idempotency_unavailable",
          detail:
            "The handler did not finish within 1000 ms; its last writes were rolled back, and the key counts as crashed",
        });
        expect(String(await ended.promise)).toContain("maxHandlerMs");
        expect([await countPayments(pool), pool.totalCount - pool.idleCount]).toEqual([before, 0]);
        const again = await post("/charges", { key: "endless" });
        expect(again.json()["code"]).toBe("idempotency_outcome_unknown");
      },
    );
  });

  it("refuses a query behind the reply, and commit in the other strategies", async () => {
    let late: pg.PoolClient | undefined;
    await withShop(
      { pool },
      (app) => {
        app.post("/late", leased("rerun"), async (request) => {
          await request.idempotency.commit((tx) => {
            late = tx;
          });
          return "done";
        });
        app.post("/tx", { config: { idempotency: true } }, async (request) =>
          request.idempotency.commit(() => 1).catch(String),
        );
      },
      async ({ post }) => {
        expect((await post("/late", { key: "late" })).status).toBe(200);
        await expect(late?.query("select 1")).rejects.toThrow("after its transaction had ended");
        expect((await post("/tx", { key: "tx" })).text).toContain("is for strategy 'lease'");
      },
    );
  });
});

import type { RouteHandlerMethod } from "fastify";
import type pg from "pg";
import Cursor from "pg-cursor";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { countPayments, createPayments, withShop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await createPayments(pool);
});

const INSERT = "insert into payments (amount) values (1)";
const LATE = "request.idempotency.tx was used after its transaction had ended with the reply";

describe.each([
  ["with a key", "late"],
  ["without a key", undefined],
])("a write that comes when the transaction is being ended, %s", (name, key) => {
  let refused: Promise<unknown>;

  it.each<[string, RouteHandlerMethod, number]>([
    [
      "because a branch beside it failed",
      async (request) => {
        const { tx } = request.idempotency;
        const fraud = Promise.reject(new Error("fraud"));
        const paid = tx.query("select 1").then(() => tx.query(INSERT));
        refused = paid.catch((error: unknown) => error);
        await Promise.all([fraud, paid]);
      },
      500,
    ],
    [
      "because the handler had replied",
      async (request, reply) => {
        const { tx } = request.idempotency;
        const asked = tx.query("select 1");
        reply.code(201).send("done");
        refused = asked.then(() => tx.query(INSERT)).catch((error: unknown) => error);
        await refused;
      },
      201,
    ],
  ])("is refused and does not stand: %s", async (why, handler, status) => {
    await withShop(
      { pool },
      (app) => app.post("/pay", { config: { idempotency: { required: false } } }, handler),
      async ({ post }) => {
        expect(
          (await post("/pay", { key: key && `${name} ${why}`.replaceAll(" ", "-") })).status,
        ).toBe(status);
        expect(await refused).toMatchObject({ message: LATE });
        expect(await countPayments(pool)).toBe(0);
        const { rows } = await pool.query(
          "select state from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'",
        );
        expect(rows).toEqual([]);
        expect(pool.idleCount).toBe(pool.totalCount);
      },
    );
  });
});

it("a late query is refused by its callback or its cursor, and nothing throws", async () => {
  const late = Promise.withResolvers<unknown[]>();
  await withShop(
    { pool },
    (app) =>
      app.post("/pay", { config: { idempotency: true } }, async (request, reply) => {
        const { tx } = request.idempotency;
        await tx.query("select 1");
        reply.raw.once("close", () => {
          const byCallback = new Promise((resolve) => tx.query(INSERT, resolve));
          const cursor = tx.query(new Cursor(INSERT));
          const byCursor = cursor.read(1).catch((error: unknown) => error);
          void Promise.all([byCallback, byCursor]).then(late.resolve);
        });
        return "done";
      }),
    async ({ post }) => {
      expect((await post("/pay", { key: "late-by-callback" })).status).toBe(200);
      const refused = { message: LATE };
      expect(await late.promise).toEqual([
        expect.objectContaining(refused),
        expect.objectContaining(refused),
      ]);
      expect([await countPayments(pool), pool.idleCount]).toEqual([0, pool.totalCount]);
    },
  );
});

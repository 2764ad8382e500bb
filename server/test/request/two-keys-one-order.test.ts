/** A trap that keys cannot close: two requests under different keys that mean one order. */
import type { FastifyInstance } from "fastify";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createGate } from "../support/gate.ts";
import type { Gate } from "../support/gate.ts";
import { withShop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await pool.query(`
    create table unguarded (order_id int not null);
    create table guarded (order_id int not null, constraint one_payment_per_order unique (order_id))
  `);
});

const protect = { config: { idempotency: true } };

/** A checkout, held at the gate before it ends, and the provider's webhook: both record the payment of order 1. */
function addRoutes(app: FastifyInstance, table: string, gate: Gate): void {
  for (const route of ["checkout", "webhook"]) {
    app.post(`/${route}`, protect, async (request, reply) => {
      const { rowCount } = await request.idempotency.tx.query(
        `insert into ${table} values (1) on conflict do nothing`,
      );
      if (route === "checkout") await gate.pass();
      return rowCount === 1 ? reply.code(201).send("paid") : reply.code(200).send("paid already");
    });
  }
}

describe("a checkout and a webhook that race for one order under two keys", () => {
  it.each([
    ["unguarded", [201, 201], 2],
    ["guarded", [201, 200], 1],
  ])("%s: answered with %j, leaves %i payment(s)", async (table, statuses, count) => {
    const gate = createGate();
    await withShop(
      { pool },
      (app) => addRoutes(app, table, gate),
      async ({ post }) => {
        const checkout = post("/checkout", { key: `${table}-checkout` });
        await gate.reached;
        const webhook = post("/webhook", { key: `${table}-webhook` });
        // With the constraint the webhook's insert waits for the checkout's transaction.
        if (table === "unguarded") await webhook;
        gate.open();
        const answers = [await checkout, await webhook];
        expect(answers.map(({ status }) => status)).toEqual(statuses);
        expect((await pool.query(`select from ${table}`)).rowCount).toBe(count);
      },
    );
  });
});

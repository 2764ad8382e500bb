/** A job that a handler sends through `tx` exists if and only if the order does. */
import { idempotency } from "@oncekey/server";
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import { PgBoss } from "pg-boss";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { INSERT, post, withOrders } from "./orders.ts";

const orders = withOrders();
let boss: PgBoss;
let app: FastifyInstance;
let url = "";

beforeAll(async () => {
  const { pool, url: connectionString } = orders();
  boss = new PgBoss({ connectionString, supervise: false, schedule: false, max: 2 });
  boss.on("error", () => undefined);
  await boss.start();
  await boss.createQueue("receipt");
  app = Fastify();
  await app.register(idempotency, { pool, scope: "single-tenant", replayCache: false });
  app.post<{ Body: { sku: string } }>(
    "/orders",
    { config: { idempotency: true } },
    async (request, reply) => {
      const { tx } = request.idempotency;
      const { rows } = await tx.query<{ id: number }>(INSERT, [request.body.sku]);
      const db = { executeSql: (text: string, values?: unknown[]) => tx.query(text, values) };
      await boss.send("receipt", { order: rows[0]?.id }, { db });
      if (request.body.sku === "broken") throw new Error("the handler failed");
      return reply.code(201).send(rows[0]);
    },
  );
  url = `${await app.listen({ host: "127.0.0.1", port: 0 })}/orders`;
});
afterAll(async () => {
  await app.close();
  await boss.stop({ graceful: false });
});

describe("pg-boss inside tx", () => {
  it("has one job for an order that was sent twice, and a worker gets it", async () => {
    const first = await post(url, "boss-1", { sku: "apple" });
    const again = await post(url, "boss-1", { sku: "apple" });
    expect(again).toEqual({ ...first, isReplayed: true });
    const jobs = await boss.fetch<{ order: number }>("receipt", { batchSize: 10 });
    expect(jobs.map(({ data }) => data)).toEqual([{ order: (first.body as { id: number }).id }]);
  });

  it("has no job for an order whose handler failed after the job was sent", async () => {
    const before = await orders().count();
    expect((await post(url, "boss-2", { sku: "broken" })).status).toBe(500);
    expect(await boss.fetch("receipt", { batchSize: 10 })).toEqual([]);
    expect(await orders().count()).toBe(before);
  });
});

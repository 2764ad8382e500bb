/** A job that a handler adds through `tx` exists if and only if the order does. */
import { idempotency } from "@oncekey/server";
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import { Logger, runMigrations, runOnce } from "graphile-worker";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { INSERT, post, withOrders } from "./orders.ts";

const orders = withOrders();
const logger = new Logger(() => () => undefined);
let app: FastifyInstance;
let url = "";

beforeAll(async () => {
  const { pool } = orders();
  await runMigrations({ pgPool: pool, logger });
  app = Fastify();
  await app.register(idempotency, { pool, scope: "single-tenant", replayCache: false });
  app.post<{ Body: { sku: string } }>(
    "/orders",
    { config: { idempotency: true } },
    async (request, reply) => {
      const { tx } = request.idempotency;
      const { rows } = await tx.query<{ id: number }>(INSERT, [request.body.sku]);
      const payload = { order: rows[0]?.id };
      await tx.query("select graphile_worker.add_job('receipt', $1::json)", [payload]);
      if (request.body.sku === "broken") throw new Error("the handler failed");
      return reply.code(201).send(rows[0]);
    },
  );
  url = `${await app.listen({ host: "127.0.0.1", port: 0 })}/orders`;
});
afterAll(() => app.close());

/** Runs all jobs that are due and returns what they were given. */
async function runJobs(): Promise<unknown[]> {
  const given: unknown[] = [];
  const taskList = { receipt: (payload: unknown) => void given.push(payload) };
  await runOnce({ pgPool: orders().pool, logger, taskList });
  return given;
}

describe("graphile-worker inside tx", () => {
  it("runs one job for an order that was sent twice", async () => {
    const first = await post(url, "worker-1", { sku: "apple" });
    const again = await post(url, "worker-1", { sku: "apple" });
    expect(again).toEqual({ ...first, isReplayed: true });
    expect(await runJobs()).toEqual([{ order: (first.body as { id: number }).id }]);
  });

  it("has no job for an order whose handler failed after the job was added", async () => {
    const before = await orders().count();
    expect((await post(url, "worker-2", { sku: "broken" })).status).toBe(500);
    expect(await runJobs()).toEqual([]);
    expect(await orders().count()).toBe(before);
  });
});

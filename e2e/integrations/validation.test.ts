/** Zod and TypeBox validate before the key is claimed, and change nothing that the fingerprint sees. */
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import { idempotency } from "@oncekey/server";
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import { serializerCompiler, validatorCompiler } from "fastify-type-provider-zod";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import type { Pool } from "pg";
import { Type } from "typebox";
import { describe, expect, it, onTestFinished } from "vitest";
import { z } from "zod";
import { INSERT, post, withOrders } from "./orders.ts";

const orders = withOrders();
const config = { idempotency: true };

async function withZod(pool: Pool): Promise<FastifyInstance> {
  const app = Fastify().withTypeProvider<ZodTypeProvider>();
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  await app.register(idempotency, { pool, scope: "single-tenant", replayCache: false });
  const body = z.object({
    sku: z.string().min(1),
    count: z.coerce.number().default(1),
    token: z.string().default(() => crypto.randomUUID()),
  });
  app.post("/orders", { schema: { body }, config }, async (request) => {
    await request.idempotency.tx.query(INSERT, [request.body.sku]);
    return request.body;
  });
  return app;
}

async function withTypeBox(pool: Pool): Promise<FastifyInstance> {
  const app = Fastify().withTypeProvider<TypeBoxTypeProvider>();
  await app.register(idempotency, { pool, scope: "single-tenant", replayCache: false });
  const body = Type.Object({
    sku: Type.String({ minLength: 1 }),
    count: Type.Integer({ default: 1 }),
  });
  app.post("/orders", { schema: { body }, config }, async (request) => {
    await request.idempotency.tx.query(INSERT, [request.body.sku]);
    return request.body;
  });
  return app;
}

describe.each([
  ["Zod", withZod],
  ["TypeBox", withTypeBox],
] as const)("%s", (name, create) => {
  async function start(): Promise<string> {
    const app = await create(orders().pool);
    onTestFinished(() => app.close());
    return `${await app.listen({ host: "127.0.0.1", port: 0 })}/orders`;
  }

  it("refuses a wrong body without spending its key", async () => {
    const url = await start();
    const before = await orders().count();
    const refused = await post(url, `${name}-1`, { sku: "" });
    const corrected = await post(url, `${name}-1`, { sku: "apple", count: "2" });
    expect(refused.status).toBe(400);
    expect(corrected).toMatchObject({
      status: 200,
      body: { sku: "apple", count: 2 },
      isReplayed: false,
    });
    expect(await orders().count()).toBe(before + 1);
  });

  it("replays an honest retry although coercions and defaults change the body", async () => {
    const url = await start();
    const first = await post(url, `${name}-2`, { sku: "apple", count: "2" });
    const again = await post(url, `${name}-2`, { sku: "apple", count: "2" });
    expect(again).toEqual({ ...first, isReplayed: true });
  });
});

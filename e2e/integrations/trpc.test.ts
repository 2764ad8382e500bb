/** tRPC answers for a procedure that throws. */
import { idempotency } from "@oncekey/server";
import { initTRPC, TRPCError } from "@trpc/server";
import { fastifyTRPCPlugin } from "@trpc/server/adapters/fastify";
import type {
  CreateFastifyContextOptions,
  FastifyTRPCPluginOptions,
} from "@trpc/server/adapters/fastify";
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { INSERT, post, withOrders } from "./orders.ts";

const orders = withOrders();
let app: FastifyInstance;
let url = "";

const t = initTRPC.context<CreateFastifyContextOptions>().create();
const router = t.router({
  order: t.procedure
    .input((input) => input as { readonly sku: string })
    .mutation(async ({ ctx, input }) => {
      const { tx } = ctx.req.idempotency;
      const { rows } = await tx.query<{ id: number }>(INSERT, [input.sku]);
      if (input.sku === "sold out")
        throw new TRPCError({ code: "UNPROCESSABLE_CONTENT", message: "out of stock" });
      if (input.sku === "broken") throw new Error("the handler failed");
      return { id: rows[0]?.id };
    }),
  hello: t.procedure.query(() => "hello"),
});

beforeAll(async () => {
  const { pool } = orders();
  app = Fastify();
  await app.register(idempotency, {
    pool,
    scope: "single-tenant",
    global: true,
    replayCache: false,
  });
  await app.register(fastifyTRPCPlugin, {
    prefix: "/trpc",
    trpcOptions: {
      router,
      createContext: (options: CreateFastifyContextOptions) => options,
      onError: ({ req }) => req.idempotency?.rollback(),
    } satisfies FastifyTRPCPluginOptions<typeof router>["trpcOptions"],
  });
  url = `${await app.listen({ host: "127.0.0.1", port: 0 })}/trpc`;
});
afterAll(() => app.close());

describe("tRPC", () => {
  it("runs a mutation once for its key, and replays its answer", async () => {
    const before = await orders().count();
    const first = await post(`${url}/order`, "trpc-1", { sku: "apple" });
    const again = await post(`${url}/order`, "trpc-1", { sku: "apple" });
    expect(first).toMatchObject({
      status: 200,
      body: { result: { data: { id: expect.any(Number) } } },
    });
    expect(again).toEqual({ ...first, isReplayed: true });
    expect(await orders().count()).toBe(before + 1);
  });

  it("keeps no write of a procedure that threw a final error, and replays it", async () => {
    const before = await orders().count();
    const first = await post(`${url}/order`, "trpc-2", { sku: "sold out" });
    const again = await post(`${url}/order`, "trpc-2", { sku: "sold out" });
    expect(first).toMatchObject({ status: 422, body: { error: { message: "out of stock" } } });
    expect(again).toEqual({ ...first, isReplayed: true });
    expect(await orders().count()).toBe(before);
  });

  it("keeps no write of a procedure that failed, and frees the key", async () => {
    const before = await orders().count();
    for (const _time of [1, 2]) {
      const answer = await post(`${url}/order`, "trpc-3", { sku: "broken" });
      expect([answer.status, answer.isReplayed]).toEqual([500, false]);
    }
    expect(await orders().count()).toBe(before);
  });

  it("keeps no write of a batch of which one procedure failed", async () => {
    const before = await orders().count();
    const batch = { 0: { sku: "apple" }, 1: { sku: "sold out" } };
    const first = await post(`${url}/order,order?batch=1`, "trpc-4", batch);
    const again = await post(`${url}/order,order?batch=1`, "trpc-4", batch);
    expect(first).toMatchObject({ status: 207, body: [{ result: {} }, { error: {} }] });
    expect(again).toEqual({ ...first, isReplayed: true });
    expect(await orders().count()).toBe(before);
  });

  it("answers a query without a key", async () => {
    const response = await fetch(`${url}/hello`);
    expect(await response.json()).toEqual({ result: { data: "hello" } });
  });
});

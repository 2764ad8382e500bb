/** Mercurius answers 200 with `errors` for a resolver that throws. */
import { idempotency } from "@oncekey/server";
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import mercurius from "mercurius";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { INSERT, post, withOrders } from "./orders.ts";

const orders = withOrders();
let app: FastifyInstance;
let url = "";

beforeAll(async () => {
  const { pool } = orders();
  app = Fastify();
  await app.register(idempotency, {
    pool,
    scope: "single-tenant",
    global: true,
    required: false,
    replayCache: false,
  });
  await app.register(mercurius, {
    schema: "type Query { none: Int } type Mutation { order(sku: String!): Int }",
    resolvers: {
      Mutation: {
        async order(_root: unknown, { sku }: { sku: string }, { reply }) {
          const { tx } = reply.request.idempotency;
          const { rows } = await tx.query<{ id: number }>(INSERT, [sku]);
          if (sku === "sold out") throw new Error("out of stock");
          return rows[0]?.id;
        },
      },
    },
  });
  app.graphql.addHook("onResolution", async (execution, { reply }) => {
    if (execution.errors?.length) reply.request.idempotency?.rollback();
  });
  url = `${await app.listen({ host: "127.0.0.1", port: 0 })}/graphql`;
});
afterAll(() => app.close());

function order(...skus: string[]): { query: string } {
  const fields = skus.map((sku, index) => `o${index}: order(sku: "${sku}")`);
  return { query: `mutation { ${fields.join(" ")} }` };
}

describe("GraphQL by Mercurius", () => {
  it("runs a mutation once for its key, and replays its answer", async () => {
    const before = await orders().count();
    const first = await post(url, "graphql-1", order("apple"));
    const again = await post(url, "graphql-1", order("apple"));
    expect(first).toMatchObject({ status: 200, body: { data: { o0: expect.any(Number) } } });
    expect(again).toEqual({ ...first, isReplayed: true });
    expect(await orders().count()).toBe(before + 1);
  });

  it("keeps no write of a mutation whose resolver threw, and replays its errors", async () => {
    const before = await orders().count();
    const first = await post(url, "graphql-2", order("sold out"));
    const again = await post(url, "graphql-2", order("sold out"));
    expect(first.body).toMatchObject({ errors: [{ message: "out of stock" }] });
    expect(again).toEqual({ ...first, isReplayed: true });
    expect(await orders().count()).toBe(before);
  });

  it("keeps no write of any mutation of a request if one of them failed", async () => {
    const before = await orders().count();
    const { body } = await post(url, "graphql-3", order("apple", "sold out"));
    expect(body).toMatchObject({ data: { o0: expect.any(Number), o1: null } });
    expect(await orders().count()).toBe(before);
  });

  it("answers a query without a key", async () => {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ query: "{ none }" }),
    });
    expect(await response.json()).toEqual({ data: { none: null } });
  });
});

import swagger from "@fastify/swagger";
import { openapiTransform } from "@oncekey/server";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { PLACES, withNeighbour } from "./with-plugin.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

const schema = {
  body: {
    type: "object",
    required: ["amount"],
    properties: { amount: { type: "integer" } },
  },
  response: { 201: { type: "object", properties: { amount: { type: "integer" } } } },
} as const;

describe.each(PLACES)("@fastify/swagger %s", (place) => {
  it("describes a protected route with its key and its problems, and a replay is not cut to the route's schema a second time", async () => {
    await withNeighbour(
      place,
      {
        options: { pool },
        neighbour: (app) =>
          app.register(swagger, {
            openapi: { info: { title: "t", version: "1" } },
            transform: openapiTransform,
          }),
        routes: (app) => {
          app.post<{ Body: { amount: number } }>(
            "/do",
            { config: { idempotency: true }, schema },
            async ({ body }, reply) => reply.code(201).send({ ...body, secret: "left out" }),
          );
          app.get("/openapi", { schema: { hide: true } }, async () => app.swagger());
        },
      },
      async ({ url, post }) => {
        const document = (await (await fetch(`${url}/openapi`)).json()) as {
          paths: Record<string, { post: { responses: object; parameters: object[] } }>;
        };
        const [described] = Object.values(document.paths);
        expect(described?.post.responses).toHaveProperty("201");
        expect(described?.post.responses).toHaveProperty("409");
        expect(described?.post.parameters).toContainEqual(
          expect.objectContaining({ in: "header", name: "Idempotency-Key", required: true }),
        );
        const request = { key: crypto.randomUUID(), json: { amount: 7 } };
        const [first, again] = [await post("/do", request), await post("/do", request)];
        expect([first.text, again.text]).toEqual(['{"amount":7}', '{"amount":7}']);
        expect(again.headers.get("idempotent-replayed")).toBe("true");
        expect((await post("/do", { json: {} })).status).toBe(400);
      },
    );
  });
});

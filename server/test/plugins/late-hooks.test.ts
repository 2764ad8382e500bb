import fp from "fastify-plugin";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { PLACES, stored, withNeighbour } from "./with-plugin.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

declare module "fastify" {
  interface FastifyRequest {
    caller?: string;
  }
}

const HOOKS = ["onRequest", "preValidation", "preHandler"] as const;
const CASES = PLACES.flatMap((place) => HOOKS.map((hook) => ({ place, hook })));

describe.each(CASES)("a plugin that guards every route in $hook, $place", ({ place, hook }) => {
  it("has let the caller in before a replay, and before the scope is asked for", async () => {
    await withNeighbour(
      place,
      {
        options: { pool, scope: (request) => request.caller ?? "" },
        neighbour: (app) =>
          app.register(
            fp(async (child) => {
              child.addHook("onRoute", (route) => {
                route[hook] = [
                  ...[route[hook] ?? []].flat(),
                  async (request, reply) => {
                    const { authorization } = request.headers;
                    if (authorization === undefined) return reply.code(401).send("who is it");
                    request.caller = authorization;
                    return undefined;
                  },
                ];
              });
            }),
          ),
        routes: (app) =>
          app.post("/do", { config: { idempotency: true } }, async ({ caller }) => `for ${caller}`),
      },
      async ({ post }) => {
        const key = crypto.randomUUID();
        const as = (authorization: string) => post("/do", { key, headers: { authorization } });
        expect((await post("/do", { key })).status).toBe(401);
        expect(await stored(pool, key)).toBeUndefined();
        const answers = [await as("ann"), await as("ann"), await as("bob")];
        expect(answers.map(({ text }) => text)).toEqual(["for ann", "for ann", "for bob"]);
        expect(answers[1]?.headers.get("idempotent-replayed")).toBe("true");
        expect((await post("/do", { key })).status).toBe(401);
      },
    );
  });
});

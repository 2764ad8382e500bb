import type { FastifyReply } from "fastify";
import type pg from "pg";
import { beforeAll, expect, it } from "vitest";
import { withDatabase } from "../../../e2e/support/database.ts";
import { withShop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

type TrailerMaker = Parameters<FastifyReply["trailer"]>[1];
const timing: TrailerMaker = (_reply, _payload, done) => done(null, "total;dur=1");

it("a trailer that a hook adds to every reply is on a replay as on the first answer", async () => {
  await withShop(
    { pool },
    (app) => {
      app.addHook(
        "onRequest",
        async (_request, reply) => void reply.trailer("server-timing", timing),
      );
      app.post("/do", { config: { idempotency: true } }, async () => "done");
    },
    async ({ app }) => {
      const headers = { "idempotency-key": crypto.randomUUID() };
      for (const replayed of [undefined, "true"]) {
        const answer = await app.inject({ method: "POST", url: "/do", headers });
        expect(answer.headers["idempotent-replayed"]).toBe(replayed);
        expect([answer.body, answer.trailers]).toEqual([
          "done",
          { "server-timing": "total;dur=1" },
        ]);
      }
    },
  );
});

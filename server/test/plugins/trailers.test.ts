import type { FastifyReply } from "fastify";
import type pg from "pg";
import { beforeAll, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { countPayments, createPayments, withShop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await createPayments(pool);
});

type TrailerMaker = Parameters<FastifyReply["trailer"]>[1];
const timing: TrailerMaker = (_reply, _payload, done) => done(null, "total;dur=1");

it("a trailer on a protected route is refused, because a replay could not repeat it, and nothing is kept", async () => {
  await withShop(
    { pool },
    (app) => {
      app.post("/do", { config: { idempotency: true } }, async (request, reply) => {
        await request.idempotency.tx.query("insert into payments (amount) values (1)");
        reply.trailer("server-timing", timing);
        return "done";
      });
      app.post("/open", async (_request, reply) => {
        reply.trailer("server-timing", timing);
        return "done";
      });
    },
    async ({ post }) => {
      const refused = await post("/do", { key: crypto.randomUUID() });
      expect(refused.status).toBe(500);
      expect(refused.json()["message"]).toContain("trailer");
      expect(await countPayments(pool)).toBe(0);
      expect((await post("/open")).text).toBe("done");
    },
  );
});

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

import cookie from "@fastify/cookie";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { PLACES, stored, withNeighbour } from "./with-plugin.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

describe.each(PLACES)("@fastify/cookie %s", (place) => {
  it("sets its cookies on the first answer only: they are neither stored nor replayed", async () => {
    await withNeighbour(
      place,
      {
        options: { pool },
        neighbour: (app) => app.register(cookie, { secret: "of a test" }),
        routes: (app) =>
          app.post("/do", { config: { idempotency: true } }, async (request, reply) => {
            reply.setCookie("basket", "7", { path: "/" });
            reply.setCookie("secret", "of one reader", { signed: true });
            return { sent: request.cookies["visitor"] };
          }),
      },
      async ({ post }) => {
        const key = crypto.randomUUID();
        const request = { key, headers: { cookie: "visitor=v1" } };
        const [first, again] = [await post("/do", request), await post("/do", request)];
        expect(first.headers.getSetCookie()).toEqual([
          "basket=7; Path=/; SameSite=Lax",
          expect.stringMatching(/^secret=of%20one%20reader\./),
        ]);
        expect(again.headers.get("idempotent-replayed")).toBe("true");
        expect(again.headers.getSetCookie()).toEqual([]);
        expect([first.text, again.text]).toEqual(['{"sent":"v1"}', '{"sent":"v1"}']);
        expect((await stored(pool, key))?.headers).toEqual(["content-type"]);
      },
    );
  });
});

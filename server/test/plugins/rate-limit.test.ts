import rateLimit from "@fastify/rate-limit";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { PLACES, stored, withNeighbour } from "./with-plugin.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

const HOOKS = ["onRequest", "preHandler"] as const;
const CASES = PLACES.flatMap((place) => HOOKS.map((hook) => ({ place, hook })));

describe.each(CASES)("@fastify/rate-limit in $hook, $place", ({ place, hook }) => {
  it("counts a replay, shows it the live limit, and refuses it above", async () => {
    let limit = 2;
    let runs = 0;
    await withNeighbour(
      place,
      {
        options: { pool },
        neighbour: (app) => app.register(rateLimit, { hook, max: () => limit }),
        routes: (app) =>
          app.post("/do", { config: { idempotency: true } }, async () => {
            runs += 1;
            return { runs };
          }),
      },
      async ({ post }) => {
        const key = crypto.randomUUID();
        const answers = [
          await post("/do", { key }),
          await post("/do", { key }),
          await post("/do", { key }),
        ];
        expect(answers.map(({ status }) => status)).toEqual([200, 200, 429]);
        expect(answers.map(({ headers }) => headers.get("x-ratelimit-remaining"))).toEqual([
          "1",
          "0",
          "0",
        ]);
        expect(answers[1]?.headers.get("idempotent-replayed")).toBe("true");
        const unused = crypto.randomUUID();
        expect((await post("/do", { key: unused })).status).toBe(429);
        expect(await stored(pool, unused)).toBeUndefined();
        limit = 100;
        expect((await post("/do", { key })).json()).toEqual({ runs: 1 });
        expect((await post("/do", { key: unused })).json()).toEqual({ runs: 2 });
        expect((await stored(pool, key))?.headers).toEqual(["content-type"]);
      },
    );
  });
});

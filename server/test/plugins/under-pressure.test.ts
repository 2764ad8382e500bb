import underPressure from "@fastify/under-pressure";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { PLACES, stored, withNeighbour } from "./with-plugin.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

describe.each(PLACES)("@fastify/under-pressure %s", (place) => {
  it("may turn a request away, which spends no key: the same one runs, or is replayed, afterwards", async () => {
    let isHealthy = true;
    let runs = 0;
    await withNeighbour(
      place,
      {
        options: { pool },
        neighbour: (app) =>
          app.register(underPressure, {
            healthCheck: async () => isHealthy,
            healthCheckInterval: 5,
          }),
        routes: (app) => {
          app.post("/do", { config: { idempotency: true } }, async () => {
            runs += 1;
            return { runs };
          });
          app.get("/ping", async () => "pong");
        },
      },
      async ({ url, post }) => {
        const until = async (status: number): Promise<void> => {
          while ((await fetch(`${url}/ping`)).status !== status);
        };
        const [used, unused] = [crypto.randomUUID(), crypto.randomUUID()];
        expect((await post("/do", { key: used })).json()).toEqual({ runs: 1 });
        isHealthy = false;
        await until(503);
        for (const key of [used, unused]) {
          const refused = await post("/do", { key });
          expect(refused.status).toBe(503);
          expect(refused.headers.get("retry-after")).toBe("10");
        }
        expect(await stored(pool, unused)).toBeUndefined();
        isHealthy = true;
        await until(200);
        expect((await post("/do", { key: unused })).json()).toEqual({ runs: 2 });
        const again = await post("/do", { key: used });
        expect(again.json()).toEqual({ runs: 1 });
        expect(again.headers.get("idempotent-replayed")).toBe("true");
      },
    );
  });
});

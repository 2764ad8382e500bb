import helmet from "@fastify/helmet";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { PLACES, stored, withNeighbour } from "./with-plugin.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

describe.each(PLACES)("@fastify/helmet %s", (place) => {
  it("protects answers, replays and refusals with headers of the moment: a nonce is never seen twice", async () => {
    await withNeighbour(
      place,
      {
        options: { pool },
        neighbour: (app) => app.register(helmet, { enableCSPNonces: true }),
        routes: (app) => app.post("/do", { config: { idempotency: true } }, async () => "done"),
      },
      async ({ post }) => {
        const key = crypto.randomUUID();
        const answers = [await post("/do", { key }), await post("/do", { key }), await post("/do")];
        expect(answers.map(({ status }) => status)).toEqual([200, 200, 400]);
        for (const { headers } of answers) {
          expect(headers.get("x-content-type-options")).toBe("nosniff");
          expect(headers.get("strict-transport-security")).toMatch(/^max-age=/);
        }
        const nonces = answers.map(
          ({ headers }) => /nonce-\w+/.exec(headers.get("content-security-policy") ?? "")?.[0],
        );
        expect(nonces).not.toContain(undefined);
        expect(new Set(nonces).size).toBe(3);
        expect((await stored(pool, key))?.headers).toEqual(["content-type"]);
      },
    );
  });
});

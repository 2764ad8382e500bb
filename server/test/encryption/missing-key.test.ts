import { randomBytes } from "node:crypto";
import type { FastifyInstance } from "fastify";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { withShop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

const encryption = { keys: [{ id: "1", secret: randomBytes(32) }] };

function routes(app: FastifyInstance): void {
  app.post("/pay", { config: { idempotency: true } }, async () => "paid");
}

const readers: readonly [string, object][] = [
  ["no key", {}],
  ["another key", { encryption: { keys: [{ id: "2", secret: randomBytes(32) }] } }],
];

describe("an encrypted record", () => {
  it.each(readers)(
    "is no answer: 503, and nothing runs, on a server with %s",
    async (name, own) => {
      const key = `unreadable for ${name}`.replaceAll(" ", "-");
      await withShop(
        { pool, encryption },
        routes,
        async ({ post }) => void (await post("/pay", { key })),
      );
      await withShop({ pool, ...own }, routes, async ({ post }) => {
        const onlyIfStored = { "idempotency-only-if-stored": "true" };
        for (const headers of [{}, onlyIfStored]) {
          const answer = await post("/pay", { key, headers });
          expect(answer.status).toBe(503);
          expect(answer.json()["code"]).toBe("idempotency_unavailable");
          expect(answer.headers.get("oncekey-sealed")).toBeNull();
        }
      });
    },
  );

  it.each(readers)(
    "is no answer either where it came to stand while the handler ran, on a server with %s",
    async (name, own) => {
      const key = `overtaken-by-${name}`.replaceAll(" ", "-");
      await withShop({ pool, encryption }, routes, async ({ post }) => {
        await post("/pay", { key: "sealed" });
      });
      const overtaken = (app: FastifyInstance): unknown =>
        app.post("/pay", { config: { idempotency: true } }, async () => {
          await pool.query(
            `insert into oncekey.records (key, scope, target, fingerprint, status, headers, body, created_at, expires_at)
            select $1, scope, target, fingerprint, status, headers, body, created_at, expires_at
            from oncekey.records where key = 'sealed'`,
            [key],
          );
          return "mine";
        });
      await withShop({ pool, ...own }, overtaken, async ({ post }) => {
        const answer = await post("/pay", { key });
        expect(answer.status).toBe(503);
        expect(answer.json()["code"]).toBe("idempotency_unavailable");
        expect(answer.headers.get("oncekey-sealed")).toBeNull();
      });
    },
  );
});

/** Encrypted records that an intruder with write access has changed: none of them is an answer. */
import { randomBytes } from "node:crypto";
import type { FastifyInstance } from "fastify";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { withShop } from "../support/shop.ts";
import type { Shop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

const keys = [{ id: "2026-01", secret: randomBytes(32) }];
const json = { card: "4242424242424242" };

function routes(app: FastifyInstance): void {
  app.post<{ Body: typeof json }>("/pay", { config: { idempotency: true } }, async (request) => ({
    card: request.body.card,
    at: performance.now(),
  }));
}

function withKeys(use: (shop: Shop) => Promise<void>): Promise<void> {
  return withShop({ pool, encryption: { keys } }, routes, use);
}

async function isRefused({ post }: Shop, key: string): Promise<void> {
  const answer = await post("/pay", { key, json });
  expect(answer.status).toBe(503);
  expect(answer.text).not.toMatch(/4242|5555/);
}

describe("a record under encryption", () => {
  it.each(["status", "headers", "body", "fingerprint"])(
    "is refused where its %s was taken from another",
    async (column) => {
      await withKeys(async (shop) => {
        const { post } = shop;
        const [mine, other] = [`mine-${column}`, `other-${column}`];
        await post("/pay", { key: mine, json });
        await post("/pay", { key: other, json: { card: "5555" } });
        if (column === "status")
          await pool.query("update oncekey.records set status = 202 where key = $1", [mine]);
        else {
          await pool.query(
            `update oncekey.records a set ${column} = b.${column} from oncekey.records b where a.key = $1 and b.key = $2`,
            [mine, other],
          );
        }
        await isRefused(shop, mine);
      });
    },
  );

  it("is refused where its body was taken away: it would count as one that could not be kept", async () => {
    await withKeys(async (shop) => {
      await shop.post("/pay", { key: "taken", json });
      await pool.query("update oncekey.records set body = null where key = 'taken'");
      await isRefused(shop, "taken");
    });
  });

  it.each(["body", "headers"])(
    "is refused where its %s is an older one of the same request",
    async (column) => {
      await withKeys(async (shop) => {
        const key = `older-${column}`;
        await shop.post("/pay", { key, json });
        const { rows } = await pool.query<Record<string, unknown>>(
          `delete from oncekey.records where key = $1 returning ${column} as older`,
          [key],
        );
        await shop.post("/pay", { key, json });
        await pool.query(`update oncekey.records set ${column} = $2 where key = $1`, [
          key,
          rows[0]?.["older"],
        ]);
        await isRefused(shop, key);
      });
    },
  );
});

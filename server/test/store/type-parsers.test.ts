import { migrate } from "@oncekey/server";
import pg from "pg";
import { expect, test } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { withShop } from "../support/shop.ts";

const database = withDatabase({ from: "empty" });

// As an application may have them that wants decimals, dates or booleans of its own.
const types = {
  getTypeParser: () => (text: string) => ({ parsed: text }),
} as unknown as pg.CustomTypesConfig;

test("a pool with type parsers of its own changes nothing of what the plugin reads", async () => {
  const pool = database.pool({ types });
  expect(await migrate(pool)).toEqual(["0001_records.sql"]);
  expect(await migrate(pool)).toEqual([]);
  await withShop(
    { pool, sweep: false },
    (app) =>
      app.post("/pay", { config: { idempotency: true } }, async (request) => {
        const { rows } = await request.idempotency.tx.query("select true as paid");
        return rows[0];
      }),
    async ({ app, post }) => {
      await app.idempotency.ready();
      const first = await post("/pay", { key: "k1" });
      expect(first.json(), "the handler has its own parsers").toEqual({ paid: { parsed: "t" } });
      expect((await post("/pay", { key: "k1" })).text).toBe(first.text);
      const address = { key: "k1", scope: "single-tenant" };
      expect(await app.idempotency.lookup(address)).toMatchObject([
        { key: "k1", state: "finished", status: 200, attempt: 1, bodyBytes: first.bytes.length },
      ]);
      expect(await app.idempotency.stats()).toMatchObject({
        records: 1,
        finished: 1,
        expired: 0,
        lagMs: 0,
        sizeBytes: expect.any(Number),
      });
      expect(await app.idempotency.forget(address, { by: "an operator", reason: "a test" })).toBe(
        1,
      );
      expect(await app.idempotency.sweep()).toEqual({ deleted: 0, buried: 0 });
    },
  );
});

import { transactional } from "@oncekey/server";
import { Kysely, PostgresDialect } from "kysely";
import Cursor from "pg-cursor";
import { expect, it } from "vitest";
import { withShop } from "../support/shop.ts";
import { withPayments } from "./payments.ts";
import { protect } from "./with-library.ts";

const { database, committed } = withPayments();

it("a cursor that is read to its end sees the handler's own writes, and the handler goes on", async () => {
  const pool = database.pool({ max: 1 });
  const dialect = new PostgresDialect({ pool: transactional(pool), cursor: Cursor });
  const db = new Kysely<{ payments: { amount: number } }>({ dialect });
  await withShop(
    { pool },
    (app) =>
      app.post("/do", protect, async () => {
        await db
          .insertInto("payments")
          .values([{ amount: 1 }, { amount: 2 }, { amount: 3 }])
          .execute();
        const seen: number[] = [];
        for await (const { amount } of db.selectFrom("payments").select("amount").stream(2))
          seen.push(amount);
        await db.insertInto("payments").values({ amount: 4 }).execute();
        return { seen };
      }),
    async ({ post }) => {
      const answer = await post("/do", { key: crypto.randomUUID() });
      expect([answer.status, answer.text]).toEqual([200, JSON.stringify({ seen: [1, 2, 3] })]);
      expect(await committed()).toEqual([1, 2, 3, 4]);
    },
  );
});

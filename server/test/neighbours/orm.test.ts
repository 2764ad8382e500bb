import { integer, pgTable } from "drizzle-orm/pg-core";
import { drizzle } from "drizzle-orm/node-postgres";
import { Kysely, PostgresDialect } from "kysely";
import type { Generated, PostgresPoolClient } from "kysely";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "../../../e2e/support/database.ts";
import { countPayments, createPayments, withShop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await createPayments(pool);
});

interface Tables {
  payments: { id: Generated<number>; amount: number };
}

const payments = pgTable("payments", {
  id: integer().primaryKey().generatedAlwaysAsIdentity(),
  amount: integer().notNull(),
});

/** A Kysely that runs on one client, which is not its own to release or to end. */
function kyselyOn(client: pg.PoolClient): Kysely<Tables> {
  const connection: PostgresPoolClient = { query: client.query.bind(client), release: () => {} };
  const onlyClient = { connect: async () => connection, end: async () => {}, options: {} };
  return new Kysely<Tables>({ dialect: new PostgresDialect({ pool: onlyClient }) });
}

const LIBRARIES: readonly (readonly [
  string,
  (tx: pg.PoolClient, amount: number) => Promise<unknown>,
])[] = [
  [
    "Drizzle",
    async (tx, amount) => {
      const [row] = await drizzle(tx).insert(payments).values({ amount }).returning();
      return row;
    },
  ],
  [
    "Kysely",
    (tx, amount) =>
      kyselyOn(tx)
        .insertInto("payments")
        .values({ amount })
        .returningAll()
        .executeTakeFirstOrThrow(),
  ],
];

describe.each(LIBRARIES)("%s over request.idempotency.tx", (_name, insert) => {
  it("commits its writes in the one transaction that stores the response", async () => {
    await withShop(
      { pool },
      (app) =>
        app.post<{ Body: { amount: number } }>(
          "/do",
          { config: { idempotency: true } },
          async (request) => insert(request.idempotency.tx, request.body.amount),
        ),
      async ({ post }) => {
        const request = { key: crypto.randomUUID(), json: { amount: 7 } };
        const [first, again] = [await post("/do", request), await post("/do", request)];
        expect(first.json()).toMatchObject({ id: expect.any(Number), amount: 7 });
        expect([again.text, again.headers.get("idempotent-replayed")]).toEqual([
          first.text,
          "true",
        ]);
        const { rows } = await pool.query(
          `select count(*)::int as payments, bool_and(payments.xmin = records.xmin) as "isOneCommit"
             from payments, oncekey.records
            where payments.id = $1 and records.key = $2`,
          [first.json()["id"], request.key],
        );
        expect(rows).toEqual([{ payments: 1, isOneCommit: true }]);
      },
    );
  });

  it("has its writes rolled back with a handler that fails, and the retry makes them", async () => {
    let isBroken = true;
    await withShop(
      { pool },
      (app) =>
        app.post("/do", { config: { idempotency: true } }, async (request) => {
          const row = await insert(request.idempotency.tx, 8);
          if (isBroken) throw new Error("after the insert");
          return row;
        }),
      async ({ post }) => {
        const key = crypto.randomUUID();
        const before = await countPayments(pool);
        expect((await post("/do", { key })).status).toBe(500);
        expect(await countPayments(pool)).toBe(before);
        isBroken = false;
        expect((await post("/do", { key })).json()).toMatchObject({ amount: 8 });
        expect(await countPayments(pool)).toBe(before + 1);
      },
    );
  });
});

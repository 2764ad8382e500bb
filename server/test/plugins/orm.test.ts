import { drizzle } from "drizzle-orm/node-postgres";
import { integer, pgTable } from "drizzle-orm/pg-core";
import { Kysely, PostgresDialect } from "kysely";
import type { Generated } from "kysely";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { countPayments, createPayments, withShop } from "../support/shop.ts";
import { innerClient } from "./inner-client.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await createPayments(pool);
});

/** What each library does with the transaction of a request. */
interface Library {
  readonly insert: (tx: pg.PoolClient, amount: number) => Promise<unknown>;
  /** Inserts in a transaction of the library's own, which `end` may break off by throwing. */
  readonly insertInside: (tx: pg.PoolClient, amount: number, end: () => void) => Promise<unknown>;
}

const payments = pgTable("payments", {
  id: integer().primaryKey().generatedAlwaysAsIdentity(),
  amount: integer().notNull(),
});

interface Tables {
  payments: { id: Generated<number>; amount: number };
}

function kysely(tx: pg.PoolClient): Kysely<Tables> {
  const onlyOne = { connect: async () => innerClient(tx), end: async () => {}, options: {} };
  return new Kysely<Tables>({ dialect: new PostgresDialect({ pool: onlyOne }) });
}

const LIBRARIES: readonly (readonly [string, Library])[] = [
  [
    "Drizzle",
    {
      async insert(tx, amount) {
        const [row] = await drizzle(tx).insert(payments).values({ amount }).returning();
        return row;
      },
      insertInside: (tx, amount, end) =>
        drizzle(innerClient(tx)).transaction(async (inner) => {
          await inner.insert(payments).values({ amount });
          end();
        }),
    },
  ],
  [
    "Kysely",
    {
      insert: (tx, amount) =>
        kysely(tx)
          .insertInto("payments")
          .values({ amount })
          .returningAll()
          .executeTakeFirstOrThrow(),
      insertInside: (tx, amount, end) =>
        kysely(tx)
          .transaction()
          .execute(async (inner) => {
            await inner.insertInto("payments").values({ amount }).execute();
            end();
          }),
    },
  ],
];

const protect = { config: { idempotency: true } };
const commits = (): void => {};
function breaksOff(): void {
  throw new Error("broken off");
}

describe.each(LIBRARIES)("%s over request.idempotency.tx", (_name, { insert, insertInside }) => {
  it("commits its writes in the one transaction that stores the response", async () => {
    await withShop(
      { pool },
      (app) =>
        app.post<{ Body: { amount: number } }>("/do", protect, async (request) =>
          insert(request.idempotency.tx, request.body.amount),
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

  it("has its writes rolled back with a handler that fails, those of its own transactions too, and the retry makes them", async () => {
    let isBroken = true;
    await withShop(
      { pool },
      (app) =>
        app.post("/do", protect, async ({ idempotency: { tx } }) => {
          const row = await insert(tx, 8);
          await insertInside(tx, 9, commits);
          if (isBroken) throw new Error("after the inserts");
          return row;
        }),
      async ({ post }) => {
        const key = crypto.randomUUID();
        const before = await countPayments(pool);
        expect((await post("/do", { key })).status).toBe(500);
        expect(await countPayments(pool)).toBe(before);
        isBroken = false;
        expect((await post("/do", { key })).json()).toMatchObject({ amount: 8 });
        expect(await countPayments(pool)).toBe(before + 2);
      },
    );
  });

  it("breaks a transaction of its own off alone: what the handler wrote before is kept", async () => {
    await withShop(
      { pool },
      (app) =>
        app.post("/do", protect, async ({ idempotency: { tx } }) => {
          await insert(tx, 10);
          await insertInside(tx, 11, breaksOff).catch(() => {});
          return "done";
        }),
      async ({ post }) => {
        const before = await countPayments(pool);
        expect((await post("/do", { key: crypto.randomUUID() })).text).toBe("done");
        expect(await countPayments(pool)).toBe(before + 1);
        const { rows } = await pool.query("select from payments where amount = 11");
        expect(rows).toEqual([]);
      },
    );
  });
});

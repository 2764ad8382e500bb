import { drizzle } from "drizzle-orm/node-postgres";
import { integer, pgTable } from "drizzle-orm/pg-core";
import type { PgDatabase, PgQueryResultHKT } from "drizzle-orm/pg-core";
import type { Library, Transaction } from "./library.ts";

const payments = pgTable("payments", {
  id: integer().primaryKey().generatedAlwaysAsIdentity(),
  amount: integer().notNull(),
});

type Drizzle = PgDatabase<PgQueryResultHKT>;

const writer = (db: Drizzle) => ({
  async insert(amount: number) {
    const [row] = await db.insert(payments).values({ amount }).returning();
    return row?.id ?? -1;
  },
  async amounts() {
    const rows = await db.select().from(payments).orderBy(payments.id);
    return rows.map(({ amount }) => amount);
  },
});

function inside(trx: Drizzle): Transaction {
  return {
    ...writer(trx),
    nested: (body) => trx.transaction((inner) => body(inside(inner))),
  };
}

export const library: Library = {
  name: "Drizzle",
  async open(pool) {
    const db = drizzle(pool);
    return {
      ...writer(db),
      transaction: (body) => db.transaction((trx) => body(inside(trx))),
      close: async () => {},
    };
  },
};

import createKnex from "knex";
import type { Knex } from "knex";
import type { Library, Transaction } from "./library.ts";

const writer = (db: Knex) => ({
  async insert(amount: number) {
    const [row] = await db("payments").insert({ amount }).returning<{ id: number }[]>("id");
    return row?.id ?? -1;
  },
  async amounts() {
    return db("payments").orderBy("id").pluck<number[]>("amount");
  },
});

function inside(trx: Knex.Transaction): Transaction {
  return {
    ...writer(trx),
    nested: (body) => trx.transaction((inner) => body(inside(inner))),
  };
}

export const library: Library = {
  name: "Knex",
  async open(pool) {
    const db = createKnex.knex({ client: "pg", connectionPool: pool });
    return {
      ...writer(db),
      transaction: (body) => db.transaction((trx) => body(inside(trx))),
      close: () => db.destroy(),
    };
  },
};

import { Kysely, PostgresDialect } from "kysely";
import type { ControlledTransaction, Generated } from "kysely";
import type { Library, Transaction } from "./library.ts";

interface Tables {
  payments: { id: Generated<number>; amount: number };
}

const writer = (db: Kysely<Tables>) => ({
  async insert(amount: number) {
    const insertion = db.insertInto("payments").values({ amount }).returning("id");
    const { id } = await insertion.executeTakeFirstOrThrow();
    return id;
  },
  async amounts() {
    const rows = await db.selectFrom("payments").select("amount").orderBy("id").execute();
    return rows.map(({ amount }) => amount);
  },
});

function inside(trx: ControlledTransaction<Tables, string[]>, depth = 1): Transaction {
  return {
    ...writer(trx),
    async nested(body) {
      const name = `level_${depth}`;
      const inner = await trx.savepoint(name).execute();
      try {
        await body(inside(inner, depth + 1));
        await inner.releaseSavepoint(name).execute();
      } catch (error) {
        await inner.rollbackToSavepoint(name).execute();
        throw error;
      }
    },
  };
}

export const library: Library = {
  name: "Kysely",
  async open(pool) {
    const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
    return {
      ...writer(db),
      async transaction(body) {
        const trx = await db.startTransaction().execute();
        try {
          await body(inside(trx));
          await trx.commit().execute();
        } catch (error) {
          if (!trx.isCommitted && !trx.isRolledBack) await trx.rollback().execute();
          throw error;
        }
      },
      close: async () => {},
    };
  },
};

import type pg from "pg";
import type { Library, Transaction } from "./library.ts";

type Queryable = Pick<pg.Pool, "query">;

const writer = (on: Queryable) => ({
  async insert(amount: number) {
    const text = "insert into payments (amount) values ($1) returning id";
    const { rows } = await on.query<{ id: number }>(text, [amount]);
    return rows[0]?.id ?? -1;
  },
  async amounts() {
    const { rows } = await on.query<{ amount: number }>("select amount from payments order by id");
    return rows.map(({ amount }) => amount);
  },
});

function transactionOn(client: pg.PoolClient, depth = 1): Transaction {
  return {
    ...writer(client),
    async nested(body) {
      await client.query(`savepoint level_${depth}`);
      try {
        await body(transactionOn(client, depth + 1));
        await client.query(`release savepoint level_${depth}`);
      } catch (error) {
        await client.query(`rollback to savepoint level_${depth}`);
        throw error;
      }
    },
  };
}

export const library: Library = {
  name: "pg",
  async open(db) {
    return {
      ...writer(db),
      async transaction(body) {
        const client = await db.connect();
        try {
          await client.query("BEGIN");
          await body(transactionOn(client));
          await client.query("COMMIT");
        } catch (error) {
          await client.query("ROLLBACK");
          throw error;
        } finally {
          client.release();
        }
      },
      close: async () => {},
    };
  },
};

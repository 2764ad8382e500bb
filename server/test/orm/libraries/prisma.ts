/**
 * Prisma's driver adapter, asked as Prisma's engine asks it. The generated client is left out: its generator downloads a program.
 */
import { PrismaPg } from "@prisma/adapter-pg";
import type { Library, Transaction } from "./library.ts";

type Adapter = Awaited<ReturnType<PrismaPg["connect"]>>;
type AdapterTransaction = Awaited<ReturnType<Adapter["startTransaction"]>>;

const bare = (sql: string) => ({ sql, args: [], argTypes: [] });
const insertOf = (amount: number) => ({
  sql: "insert into payments (amount) values ($1) returning id",
  args: [amount],
  argTypes: [{ scalarType: "int" as const, arity: "scalar" as const }],
});

const writer = (on: Pick<Adapter, "queryRaw">) => ({
  async insert(amount: number) {
    const { rows } = await on.queryRaw(insertOf(amount));
    return Number(rows[0]?.[0]);
  },
  async amounts() {
    const { rows } = await on.queryRaw(bare("select amount from payments order by id"));
    return rows.map(([amount]) => Number(amount));
  },
});

function inside(trx: AdapterTransaction, depth = 1): Transaction {
  return {
    ...writer(trx),
    async nested(body) {
      const name = `level_${depth}`;
      await trx.executeRaw(bare(`SAVEPOINT ${name}`));
      try {
        await body(inside(trx, depth + 1));
        await trx.executeRaw(bare(`RELEASE SAVEPOINT ${name}`));
      } catch (error) {
        await trx.executeRaw(bare(`ROLLBACK TO SAVEPOINT ${name}`));
        throw error;
      }
    },
  };
}

export const library: Library = {
  name: "Prisma's driver adapter",
  async open(pool) {
    const db = await new PrismaPg(pool).connect();
    return {
      ...writer(db),
      async transaction(body) {
        const trx = await db.startTransaction();
        try {
          await body(inside(trx));
          await trx.executeRaw(bare("COMMIT"));
          await trx.commit();
        } catch (error) {
          await trx.executeRaw(bare("ROLLBACK"));
          await trx.rollback();
          throw error;
        }
      },
      close: () => db.dispose(),
    };
  },
};

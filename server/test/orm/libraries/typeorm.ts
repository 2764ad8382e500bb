import { DataSource, EntitySchema } from "typeorm";
import type { EntityManager } from "typeorm";
import type { Library, Transaction } from "./library.ts";

const Payment = new EntitySchema<{ id?: number; amount: number }>({
  name: "payments",
  columns: {
    id: { type: Number, primary: true, generated: true },
    amount: { type: Number },
  },
});

const writer = (manager: EntityManager) => ({
  async insert(amount: number) {
    const { identifiers } = await manager.insert(Payment, { amount });
    return Number(identifiers[0]?.["id"]);
  },
  async amounts() {
    const rows = await manager.find(Payment, { order: { id: "asc" } });
    return rows.map(({ amount }) => amount);
  },
});

function inside(manager: EntityManager): Transaction {
  return {
    ...writer(manager),
    nested: (body) => manager.transaction((inner) => body(inside(inner))),
  };
}

export const library: Library = {
  name: "TypeORM",
  async open(pool) {
    const driver = {
      Pool: function usePool() {
        return pool;
      },
    };
    const source = new DataSource({ type: "postgres", entities: [Payment], driver });
    await source.initialize();
    return {
      ...writer(source.manager),
      transaction: (body) => source.transaction((manager) => body(inside(manager))),
      close: () => source.destroy(),
    };
  },
};

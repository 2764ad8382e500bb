import { db } from "../db/db.ts";
import type { OrderStatus } from "../db/tables.ts";
import { insertLines } from "./order-lines.ts";
import type { NewLine } from "./order-lines.ts";

export interface Order {
  readonly id: number;
  readonly customer_id: string;
  readonly total_cents: number;
  readonly status: OrderStatus;
}

export function listOrders(customerId: string): Promise<Order[]> {
  return db.selectFrom("orders").selectAll().where("customer_id", "=", customerId).execute();
}

export function findOrder(id: number, customerId: string): Promise<Order | undefined> {
  return db
    .selectFrom("orders")
    .selectAll()
    .where("id", "=", id)
    .where("customer_id", "=", customerId)
    .executeTakeFirst();
}

/** Stores an order together with its lines. */
export function insertOrder(
  customerId: string,
  lines: readonly NewLine[],
  totalCents: number,
): Promise<Order> {
  return db.transaction().execute(async (trx) => {
    const order = await trx
      .insertInto("orders")
      .values({ customer_id: customerId, total_cents: totalCents, status: "placed" })
      .returningAll()
      .executeTakeFirstOrThrow();
    await insertLines(trx, order.id, lines);
    return order;
  });
}

/** Marks a placed order as cancelled; `undefined` if the customer has no such order that is still placed. */
export function markCancelled(id: number, customerId: string): Promise<Order | undefined> {
  return db
    .updateTable("orders")
    .set({ status: "cancelled" })
    .where("id", "=", id)
    .where("customer_id", "=", customerId)
    .where("status", "=", "placed")
    .returningAll()
    .executeTakeFirst();
}

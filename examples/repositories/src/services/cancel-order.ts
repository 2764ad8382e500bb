import { notFound } from "../errors.ts";
import { changeCredit } from "../repositories/customers.ts";
import { insertEntry } from "../repositories/ledger.ts";
import { listLines } from "../repositories/order-lines.ts";
import { findOrder, markCancelled } from "../repositories/orders.ts";
import type { Order } from "../repositories/orders.ts";
import { returnToStock } from "../repositories/stock.ts";

/** Cancels an order once: returns its items to the stock and refunds its total. */
export async function cancelOrder(id: number, customerId: string): Promise<Order> {
  const cancelled = await markCancelled(id, customerId);
  if (cancelled !== undefined) {
    await returnToStock(await listLines(id));
    await changeCredit(customerId, cancelled.total_cents);
    await insertEntry({ customerId, orderId: id, amountCents: cancelled.total_cents });
    return cancelled;
  }
  const order = await findOrder(id, customerId);
  if (order === undefined) throw notFound("order");
  return order;
}

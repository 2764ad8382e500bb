import { insertOrder } from "../repositories/orders.ts";
import type { Order } from "../repositories/orders.ts";
import { takeFromStock } from "../repositories/stock.ts";
import { chargeCredit } from "./charge-credit.ts";
import { priceOrder, sumOf } from "./price-order.ts";
import type { OrderItem } from "./price-order.ts";

/** Takes the items from the stock, stores the order and charges the customer's credit. */
export async function placeOrder(customerId: string, items: readonly OrderItem[]): Promise<Order> {
  const priced = await priceOrder(items);
  await takeFromStock(priced);
  const order = await insertOrder(customerId, priced, sumOf(priced));
  await chargeCredit(customerId, order.id, order.total_cents);
  return order;
}

import type { Transaction } from "kysely";
import { db } from "../db/db.ts";
import type { Tables } from "../db/tables.ts";

export interface NewLine {
  readonly sku: string;
  readonly quantity: number;
  readonly priceCents: number;
}

export async function insertLines(
  trx: Transaction<Tables>,
  orderId: number,
  lines: readonly NewLine[],
): Promise<void> {
  const rows = lines.map(({ sku, quantity, priceCents }) => ({
    order_id: orderId,
    sku,
    quantity,
    price_cents: priceCents,
  }));
  await trx.insertInto("order_lines").values(rows).execute();
}

export function listLines(orderId: number): Promise<{ sku: string; quantity: number }[]> {
  return db
    .selectFrom("order_lines")
    .select(["sku", "quantity"])
    .where("order_id", "=", orderId)
    .execute();
}

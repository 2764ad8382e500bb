import { db } from "../db/db.ts";
import { outOfStock } from "../errors.ts";

interface Amount {
  readonly sku: string;
  readonly quantity: number;
}

/** Takes all the items from the stock, or none of them. */
export async function takeFromStock(items: readonly Amount[]): Promise<void> {
  await db.transaction().execute(async (trx) => {
    for (const { sku, quantity } of items) {
      const { numUpdatedRows } = await trx
        .updateTable("products")
        .set((eb) => ({ stock: eb("stock", "-", quantity) }))
        .where("sku", "=", sku)
        .where("stock", ">=", quantity)
        .executeTakeFirst();
      if (numUpdatedRows === 0n) throw outOfStock(sku);
    }
  });
}

export async function returnToStock(items: readonly Amount[]): Promise<void> {
  await db.transaction().execute(async (trx) => {
    for (const { sku, quantity } of items) {
      await trx
        .updateTable("products")
        .set((eb) => ({ stock: eb("stock", "+", quantity) }))
        .where("sku", "=", sku)
        .execute();
    }
  });
}

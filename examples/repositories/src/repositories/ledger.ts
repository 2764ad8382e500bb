import { db } from "../db/db.ts";

interface NewEntry {
  readonly customerId: string;
  readonly orderId: number | null;
  readonly amountCents: number;
}

interface Entry {
  readonly order_id: number | null;
  readonly amount_cents: number;
}

export async function insertEntry({ customerId, orderId, amountCents }: NewEntry): Promise<void> {
  await db
    .insertInto("ledger")
    .values({ customer_id: customerId, order_id: orderId, amount_cents: amountCents })
    .execute();
}

export function listEntries(customerId: string): Promise<Entry[]> {
  return db
    .selectFrom("ledger")
    .select(["order_id", "amount_cents"])
    .where("customer_id", "=", customerId)
    .orderBy("id")
    .execute();
}

import { db } from "../db/db.ts";

export function findCustomerByToken(token: string): Promise<{ id: string } | undefined> {
  return db.selectFrom("customers").select("id").where("token", "=", token).executeTakeFirst();
}

/** Adds to a customer's credit; `undefined` if the credit would fall below zero. */
export async function changeCredit(
  customerId: string,
  byCents: number,
): Promise<number | undefined> {
  const row = await db
    .updateTable("customers")
    .set((eb) => ({ credit_cents: eb("credit_cents", "+", byCents) }))
    .where("id", "=", customerId)
    .where((eb) => eb(eb("credit_cents", "+", byCents), ">=", 0))
    .returning("credit_cents")
    .executeTakeFirst();
  return row?.credit_cents;
}

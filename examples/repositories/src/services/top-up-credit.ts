import { notFound } from "../errors.ts";
import { changeCredit } from "../repositories/customers.ts";
import { insertEntry } from "../repositories/ledger.ts";

/** Adds to a customer's credit and returns the new credit in cents. */
export async function topUpCredit(customerId: string, amountCents: number): Promise<number> {
  const creditCents = await changeCredit(customerId, amountCents);
  if (creditCents === undefined) throw notFound("customer");
  await insertEntry({ customerId, orderId: null, amountCents });
  return creditCents;
}

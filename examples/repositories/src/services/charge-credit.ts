import { creditExhausted } from "../errors.ts";
import { changeCredit } from "../repositories/customers.ts";
import { insertEntry } from "../repositories/ledger.ts";

export async function chargeCredit(
  customerId: string,
  orderId: number,
  amountCents: number,
): Promise<void> {
  const creditCents = await changeCredit(customerId, -amountCents);
  if (creditCents === undefined) throw creditExhausted();
  await insertEntry({ customerId, orderId, amountCents: -amountCents });
}

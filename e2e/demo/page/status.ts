/**
 * Messages of the page: to the shopper below the Pay button, and to a screen reader about each
 * attempt.
 */
import type { Receipt } from "../../shop/wire.ts";
import { formatAmount } from "./cart.ts";
import { find, make } from "./element.ts";

export interface Said {
  readonly kind: "idle" | "busy" | "paid" | "declined" | "failed";
  readonly text: string;
  readonly receipt?: Receipt | undefined;
}

export function say({ kind, text }: Said): void {
  const status = find("status", HTMLElement);
  status.dataset["kind"] = kind;
  status.textContent = text;
}

/** @param receipt `undefined` if the answer had none: the cart is paid all the same. */
export function paid(receipt: Receipt | undefined): Said {
  const text = receipt && `Paid ${formatAmount(receipt.amountCents)}. Order ${receipt.order}.`;
  return { kind: "paid", text: text ?? "Paid.", receipt };
}

export function declined(): Said {
  return { kind: "declined", text: "The card was declined. Change the amount and try again." };
}

/**
 * Announces news to users who do not see the timeline. The log is kept short: only its news is read
 * out.
 */
export function announce(text: string): void {
  const log = find("announcer", HTMLElement);
  log.append(make("span", {}, `${text}. `));
  if (log.children.length > 5) log.firstElementChild?.remove();
}

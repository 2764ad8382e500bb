/** The checkout page: Pay, with Oncekey or by hand, under whatever faults are switched on. */
import { createCart, formatAmount } from "./cart.ts";
import { watchCharges } from "./charges.ts";
import { find } from "./element.ts";
import { createFaultSwitches } from "./faults.ts";
import { createOncekeyTill } from "./oncekey-till.ts";
import { createPayments } from "./payments.ts";
import { createPlainTill } from "./plain-till.ts";
import { createStories } from "./stories.ts";
import { say } from "./status.ts";
import type { Said } from "./status.ts";
import { drawTimeline } from "./timeline.ts";

const cart = createCart(localStorage);
const pay = find("pay", HTMLButtonElement);
const newCart = find("new-cart", HTMLButtonElement);
const wrap = find("wrap", HTMLInputElement);
const plain = find("plain", HTMLInputElement);

const draw = (): void => drawTimeline(payments.all, charges);
const payments = createPayments(sessionStorage, () => draw());
const charges = watchCharges(() => draw());
const chosenFaults = createFaultSwitches(renewIfPaid);
const oncekeyTill = createOncekeyTill(payments);
const plainTill = createPlainTill(payments);

pay.addEventListener("click", () => void onPay());
newCart.addEventListener("click", () => {
  cart.renew();
  drawCart();
  say({ kind: "idle", text: "A new cart with the same goods." });
  pay.focus();
});
wrap.addEventListener("change", () => {
  renewIfPaid();
  cart.wrap(wrap.checked);
  drawCart();
});
plain.addEventListener("change", renewIfPaid);

createStories(payments);
drawCart();
draw();
void oncekeyTill.settle(conclude);

async function onPay(): Promise<void> {
  const { receipt, id } = cart.state();
  if (receipt !== undefined) {
    const amount = formatAmount(receipt.amountCents);
    say({ kind: "paid", text: `This cart is paid already: ${amount}. Nothing was sent.` });
    return;
  }
  say({ kind: "busy", text: "Paying …" });
  const till = plain.checked ? plainTill : oncekeyTill.pay;
  conclude(id, await till(cart.order(), chosenFaults()));
}

// Another cart may be on the page by the time an answer comes.
function conclude(cartId: string, said: Said): void {
  if (cart.state().id === cartId && said.receipt !== undefined) cart.settle(said.receipt);
  drawCart();
  say(said);
}

/** A change of the conditions after a payment is meant for the next payment. */
function renewIfPaid(): void {
  if (cart.state().receipt === undefined) return;
  cart.renew();
  drawCart();
  say({ kind: "idle", text: "A new cart with the same goods." });
}

function drawCart(): void {
  const { isWrapped, receipt } = cart.state();
  wrap.checked = isWrapped;
  find("total", HTMLOutputElement).value = formatAmount(cart.order().amountCents);
  newCart.hidden = receipt === undefined;
}

/** The number of charges, read from the database all the time. */
import type { Count, Via } from "../../shop/wire.ts";
import { find } from "./element.ts";

export interface Charges {
  /** For one cart, as of the last reading. */
  of(via: Via, cart: string): number;
}

const PERIOD_MS = 300;
const LABELS: Readonly<Record<Via, string>> = {
  oncekey: "with Oncekey",
  plain: "charges without Oncekey",
};

/** Draws the counts, and again whenever they change. */
export function watchCharges(onChange: () => void): Charges {
  let counts: readonly Count[] = [];
  const read = async (): Promise<void> => {
    const response = await fetch("/demo/charges");
    const latest = (await response.json()) as Count[];
    if (JSON.stringify(latest) === JSON.stringify(counts)) return;
    counts = latest;
    draw("oncekey", counts);
    draw("plain", counts);
    onChange();
  };
  const loop = (): void => {
    // A reading that fails is ignored; the next one succeeds.
    read()
      .catch(() => undefined)
      .finally(() => setTimeout(loop, PERIOD_MS));
  };
  loop();
  return {
    of: (via, cart) =>
      counts.find((count) => count.via === via && count.cart === cart)?.charges ?? 0,
  };
}

function draw(via: Via, counts: readonly Count[]): void {
  const own = counts.filter((count) => count.via === via);
  const charges = own.reduce((sum, count) => sum + count.charges, 0);
  const carts = own.length;
  find(`charges-${via}`, HTMLOutputElement).value = String(charges);
  const box = find(`count-${via}`, HTMLElement);
  box.dataset["kind"] = charges > carts ? "too-many" : "right";
  const note = find(`note-${via}`, HTMLElement);
  note.textContent = `${LABELS[via]}${carts === 0 ? "" : ` · ${carts} ${carts === 1 ? "cart" : "carts"} paid`}`;
  if (charges > carts) note.textContent += `, ${charges - carts} too many`;
}

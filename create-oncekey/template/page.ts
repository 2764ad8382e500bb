/** The page: one operation, one key per cart. */
import { createClient, webStorage } from "@oncekey/client";

const shop = createClient({ ky: { prefix: "/api" }, storage: webStorage(), server: "oncekey" });

const placeOrder = shop.operation<{ id: string; lines: string[] }, { id: number }>("place-order", {
  request: (cart) => ({ path: "orders", json: { cart: cart.id, lines: cart.lines } }),
  instance: (cart) => cart.id,
  onSettled: () => void showCount(),
});

async function pay(): Promise<void> {
  show("state", "One moment");
  const cart = localStorage["cart"] ?? newCart();
  const result = await placeOrder.run({ id: cart, lines: ["apple", "apple"] });
  if (result.kind === "done")
    show("state", `Order ${result.value?.id}${result.replayed ? ", as before" : ""}`);
  if (result.kind === "rejected") show("state", result.error.message);
  if (result.kind === "unknown")
    show("state", "No answer yet. Press Pay to ask again: it is the same order");
}

function newCart(): string {
  show("state", "");
  return (localStorage["cart"] = crypto.randomUUID());
}

async function showCount(): Promise<void> {
  const answer = await fetch("/api/orders");
  const { count } = (await answer.json()) as { count: number };
  show("count", String(count));
}

function show(id: string, text: string): void {
  const element = document.getElementById(id);
  if (element !== null) element.textContent = text;
}

document.getElementById("pay")?.addEventListener("click", () => void pay());
document.getElementById("next")?.addEventListener("click", newCart);
void shop.resumeAll(); // settles the operations that a reload or a crash left behind
void showCount();

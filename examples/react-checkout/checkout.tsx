import { createClient, webStorage } from "@oncekey/client";
import { useOperation } from "@oncekey/client/react";
import { createRoot } from "react-dom/client";

const shop = createClient({
  ky: { prefix: "/api", headers: { authorization: "Bearer ada" } },
  storage: webStorage(),
  server: "oncekey",
  owner: () => "ada", // the signed-in user, so that the next one does not see ada's operations
});
const placeOrder = shop.operation<{ id: string; lines: string[] }, { id: number }>("place-order", {
  request: (cart) => ({ path: "orders", json: { lines: cart.lines } }),
  instance: (cart) => cart.id,
});
void shop.resumeAll(); // settles the operations that a reload or a crash left behind

const cart = { id: "cart-1", lines: ["apple", "pear"] };

function Checkout() {
  const { state, run } = useOperation(placeOrder, cart);
  if (state.kind === "idle") return <button onClick={() => void run()}>Pay</button>;
  if (state.kind === "unknown") {
    return <button onClick={() => void state.result.resume()}>No answer yet. Ask again</button>;
  }
  if (state.kind !== "settled") return <p>One moment</p>;
  if (state.result.kind === "done") return <p>Order {state.result.value?.id} is placed</p>;
  return <button onClick={() => void run()}>{state.result.error.message}. Pay again</button>;
}

const root = document.querySelector("#root");
if (root !== null) createRoot(root).render(<Checkout />);

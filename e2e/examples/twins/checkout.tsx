/** The checkout of `examples/react-checkout` before Oncekey: the skill of @oncekey/client was tried on it. */
import { useState } from "react";
import { createRoot } from "react-dom/client";

const cart = { id: "cart-1", lines: ["apple", "pear"] };

function Checkout() {
  const [text, setText] = useState("");
  async function pay(): Promise<void> {
    try {
      const answer = await fetch("/api/orders", {
        method: "POST",
        headers: { authorization: "Bearer ada", "content-type": "application/json" },
        body: JSON.stringify({ lines: cart.lines }),
      });
      const { id } = (await answer.json()) as { id: number };
      setText(`Order ${id} is placed`);
    } catch {
      setText("That did not work. Please try again");
    }
  }
  return (
    <p>
      <button onClick={() => void pay()}>Pay</button> {text}
    </p>
  );
}

const root = document.querySelector("#root");
if (root !== null) createRoot(root).render(<Checkout />);

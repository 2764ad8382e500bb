/** The client on Bun: loses one reply, and pays once. Prints the result. */
import { createClient } from "@oncekey/client";
import { fileStorage } from "@oncekey/client/node";

const [, , prefix = "", folder = ""] = process.argv;
let isFirst = true;

const shop = createClient({
  ky: {
    prefix,
    async fetch(url, init) {
      const response = await fetch(url, init);
      if (!isFirst) return response;
      isFirst = false;
      throw new TypeError("the reply was lost");
    },
  },
  storage: fileStorage(folder),
  server: "oncekey",
  backoff: { baseMs: 1, capMs: 1 },
});
const placeOrder = shop.operation<{ sku: string }, { id: number }>("place-order", {
  request: (order) => ({ path: "orders", json: order }),
});
const result = await placeOrder.run({ sku: "pear" });
const { kind, attempts } = result;
console.log(JSON.stringify({ kind, attempts, replayed: kind === "done" && result.replayed }));

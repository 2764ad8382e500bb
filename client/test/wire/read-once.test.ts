import { createClient } from "@oncekey/client";
import type { LooseKyOptions } from "@oncekey/client";
import { describe, expect, it } from "vitest";

/** Answers with an order, and counts the copies of the response. */
function createShop(ky: LooseKyOptions = {}) {
  const copies: string[] = [];
  const client = createClient({
    ky: {
      ...ky,
      prefix: "https://shop.example/",
      async fetch(_url, init) {
        const key = new Headers(init?.headers).get("idempotency-key") ?? "";
        const response = Response.json({ id: 1 }, { headers: { "idempotency-key": key } });
        const clone = response.clone.bind(response);
        response.clone = () => {
          copies.push(key);
          return clone();
        };
        return response;
      },
    },
  });
  const order = client.operation<string, { id: number }>("order", {
    request: (cart) => ({ path: "orders", json: { cart } }),
  });
  return { client, order, copies };
}

const done = { kind: "done", value: { id: 1 } };

// In Chromium a copy takes longer than the rest of the run.
describe("the body of a response", () => {
  it("is read once by a run, without a copy", async () => {
    const { order, copies } = createShop();
    expect(await order.run("cart-1")).toMatchObject(done);
    expect(copies).toEqual([]);
  });

  it("is read as text by parseJson, without a copy", async () => {
    const { order, copies } = createShop({ parseJson: (text) => JSON.parse(text) as unknown });
    expect(await order.run("cart-1")).toMatchObject(done);
    expect(copies).toEqual([]);
  });

  it("is unread for a hook afterResponse", async () => {
    const texts: string[] = [];
    const { order } = createShop({
      hooks: { afterResponse: [async ({ response }) => void texts.push(await response.text())] },
    });
    expect(await order.run("cart-1")).toMatchObject(done);
    expect(texts).toEqual(['{"id":1}']);
  });

  it("is unread for onDownloadProgress", async () => {
    const percents: number[] = [];
    const { order } = createShop({ onDownloadProgress: ({ percent }) => percents.push(percent) });
    expect(await order.run("cart-1")).toMatchObject(done);
    expect(percents.at(-1)).toBe(1);
  });

  it("is unread for the caller of a plain call", async () => {
    const { client } = createShop();
    expect(await client.post("orders").json()).toEqual({ id: 1 });
  });
});

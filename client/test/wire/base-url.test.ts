import { createClient, webStorage } from "@oncekey/client";
import ky from "ky";
import { afterEach, describe, expect, it, vi } from "vitest";
import { done, withServer } from "../support/server.ts";

afterEach(() => vi.unstubAllGlobals());

describe("a URL", () => {
  it("that is relative is resolved against the page", async () => {
    await withServer([done], async ({ url, seen }) => {
      vi.stubGlobal("location", new URL("/checkout/cart", url));
      await createClient({ ky: { prefix: "/api" } }).post("/orders");
      await createClient({ ky: { prefix: "api/" } }).post("orders");
      await createClient({ ky: { baseUrl: "/shop/v1/" } }).post("orders");
      await createClient({ ky: { baseUrl: "/shop/v1/" } }).post("/orders");
      await createClient().post("orders");
      expect(seen.map(({ path }) => path)).toEqual([
        "/api/orders",
        "/checkout/api/orders",
        "/shop/v1/orders",
        "/orders",
        "/checkout/orders",
      ]);
    });
  });

  it("has the search parameters of an instance once, whatever their form", async () => {
    await withServer([done], async ({ url, seen }) => {
      const api = ky.create({ prefix: url, searchParams: { locale: "de", page: undefined } });
      await createClient({ ky: api }).post("orders?page=2");
      await createClient({ ky: api.extend({ searchParams: "a=1" }) }).post("orders");
      await createClient({ ky: { prefix: url, searchParams: [["b", 2]] } }).post(`${url}absolute`);
      expect(seen.map(({ path }) => path)).toEqual([
        "/api/orders?locale=de",
        "/api/orders?locale=de&a=1",
        "/api/absolute?b=2",
      ]);
    });
  });

  it("that is relative is refused outside a page only when it is sent to", async () => {
    const shop = createClient({ ky: { prefix: "/api" }, storage: webStorage() });
    const order = shop.operation("order", { request: () => ({ path: "orders" }) });
    await expect(order.run(undefined)).rejects.toThrow(
      "request.path must lead to a URL, and absolute outside a page (ky's prefix or baseUrl), got /api/orders",
    );
    await expect(createClient().post("orders")).rejects.toThrow("got orders");
  });
});

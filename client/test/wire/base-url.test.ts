import { createClient, webStorage } from "@oncekey/client";
import { afterEach, describe, expect, it, vi } from "vitest";
import { done, withServer } from "../support/server.ts";

afterEach(() => vi.unstubAllGlobals());

describe("a base URL that is relative to the page", () => {
  it("is resolved against it", async () => {
    await withServer([done], async ({ url, seen }) => {
      vi.stubGlobal("location", new URL("/checkout/cart", url));
      await createClient({ baseUrl: "/api" }).post("orders");
      await createClient({ baseUrl: "api/" }).post("orders");
      await createClient().post("orders");
      expect(seen.map(({ path }) => path)).toEqual([
        "/api/orders",
        "/checkout/api/orders",
        "/checkout/orders",
      ]);
    });
  });

  it("is no mistake where a page is rendered on a server: only sending is refused", async () => {
    const shop = createClient({ baseUrl: "/api/", storage: webStorage() });
    const order = shop.operation("order", { request: () => ({ path: "orders" }) });
    await expect(order.run(undefined)).rejects.toThrow(
      "baseUrl must be absolute where there is no page, got /api/",
    );
    await expect(createClient().post("orders")).rejects.toThrow("got orders");
  });
});

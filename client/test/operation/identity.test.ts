import { createClient, memoryStorage } from "@oncekey/client";
import type { ClientOptions, Warning } from "@oncekey/client";
import { describe, expect, it, vi } from "vitest";
import { done, reset, withServer } from "../support/server.ts";

interface Order {
  readonly path: string;
  readonly json?: unknown;
  readonly headers?: Record<string, string>;
}

function open(prefix: string, options: ClientOptions = {}) {
  const warnings: Warning[] = [];
  const onWarning = (warning: Warning): void => void warnings.push(warning);
  const ky = { prefix, ...options.ky };
  const client = createClient({ attempts: 1, onWarning, ...options, ky } as ClientOptions);
  const order = client.operation("order", { request: (spec: Order) => spec });
  return { client, order, warnings };
}

describe("two inputs are one operation", () => {
  const first: Order = { path: "orders", json: { id: 1, lines: [{ sku: "a", count: 2 }] } };

  it.each<[string, Order]>([
    [
      "the members of json come in another order",
      { path: "orders", json: { lines: [{ count: 2, sku: "a" }], id: 1 } },
    ],
    ["a header differs, such as a trace or a renewed token", { ...first, headers: { trace: "2" } }],
    ["the path is spelled with a slash", { ...first, path: "/orders" }],
  ])("if %s", async (_name, second) => {
    await withServer([reset, done], async ({ url, seen }) => {
      const { order } = open(url);
      const { key } = await order.run(first);
      expect(await order.run(second)).toMatchObject({ kind: "done", key });
      expect(seen[1]?.body).toBe(seen[0]?.body);
    });
  });

  it("if a later release spells the base URL and its headers differently", async () => {
    const storage = { ...memoryStorage(), namespace: "shop" };
    await withServer([reset, done], async ({ url }) => {
      const { key } = await open(url, { storage }).order.run(first);
      const next = open(url.replace(/\/$/, ""), {
        storage,
        ky: { headers: { release: "2" } },
      });
      expect(await next.order.run(first)).toMatchObject({ kind: "done", key });
    });
  });
});

describe("two inputs are two operations", () => {
  const first: Order = { path: "orders", json: { id: 1 } };

  it.each<[string, Order]>([
    ["a member of json differs", { path: "orders", json: { id: 2 } }],
    ["a list has another order", { path: "orders", json: [1, 2] }],
    ["the target differs", { path: "orders?draft=1", json: { id: 1 } }],
  ])("if %s", async (_name, second) => {
    await withServer([reset, done], async ({ url }) => {
      const { order } = open(url);
      const { key } = await order.run(first);
      expect((await order.run(second)).key).not.toBe(key);
    });
  });
});

describe("an input that changed while its instance is unresolved", () => {
  it("is warned of with the member that changed", async () => {
    await withServer([reset, done], async ({ url }) => {
      const { client, warnings } = open(url);
      const pay = client.operation("pay", {
        request: (token: string) => ({
          path: "pay",
          json: { cart: { lines: [1] }, card: { token } },
        }),
        instance: () => "cart-1",
      });
      await pay.run("tok_1");
      await pay.run("tok_2");
      expect(warnings).toMatchObject([
        { code: "input_changed", message: expect.stringContaining("json.card.token differs") },
      ]);
    });
  });

  it("does not cause a warning in production", async () => {
    vi.stubEnv("NODE_ENV", "production");
    await withServer([reset, done], async ({ url }) => {
      const { client, warnings } = open(url);
      const request = (json: string) => ({ path: "pay", json });
      const pay = client.operation("pay", { request, instance: () => "cart-1" });
      await pay.run("tok_1");
      await pay.run("tok_2");
      expect(warnings).toEqual([]);
    });
    vi.unstubAllEnvs();
  });

  it("is the same operation if identity leaves that member out", async () => {
    await withServer([reset, done], async ({ url, seen }) => {
      const { client, warnings } = open(url);
      const pay = client.operation("pay", {
        request: (token: string) => ({ path: "pay", json: { card: { token } } }),
        instance: () => "cart-1",
        identity: () => "cart-1",
      });
      const { key } = await pay.run("tok_1");
      expect(await pay.run("tok_2")).toMatchObject({ kind: "done", key });
      expect(seen[1]?.body).toContain("tok_1");
      expect(warnings).toEqual([]);
    });
  });
});

/** The example of the README, under the strictest options of the compiler. */
import { createClient, webStorage } from "@oncekey/client";
import type { IdempotencyError, RunResult } from "@oncekey/client";
import { afterEach, describe, expect, expectTypeOf, it, vi } from "vitest";
import { createStorage } from "../support/storage.ts";
import { done, json, reset, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";

interface Cart {
  id: string;
  lines: { sku: string; count: number }[];
  total: number;
}

const basket: Cart = { id: "c1", lines: [{ sku: "apple", count: 2 }], total: 500 };

afterEach(() => vi.unstubAllGlobals());

/** Opens one page: the module of the example, and the list of what it shows. */
function openPage() {
  const shown: unknown[] = [];
  const showReceipt = (value: unknown, replayed: boolean) => shown.push({ value, replayed });
  const showStillChecking = (again: () => Promise<RunResult<unknown>>) => shown.push(again);
  const showProblem = (error: IdempotencyError) => shown.push(error);

  const shop = createClient({ ky: { prefix: "/api" }, storage: webStorage(), attempts: 1 });

  const placeOrder = shop.operation("place-order", {
    request: (cart: Cart) => ({ method: "POST", path: "orders", json: { lines: cart.lines } }),
    instance: (cart) => cart.id,
    identity: (cart) => [cart.lines, cart.total],
    onSettled: (result) => result.kind === "done" && showReceipt(result.value, result.replayed),
  });

  async function pay(cart: Cart) {
    const result = await placeOrder.run(cart);
    if (result.kind === "unknown") showStillChecking(() => result.resume());
    else if (result.kind === "rejected") showProblem(result.error);
    return result;
  }

  return { shown, shop, pay, start: () => shop.resumeAll() };
}

describe("the example", () => {
  const replayed: Reply = json(201, { id: 1 }, { "idempotent-replayed": "true" });

  it.each<[string, readonly Reply[], unknown]>([
    ["a receipt", [done], { value: { id: 1 }, replayed: false }],
    ["a receipt of what was done before", [replayed], { value: { id: 1 }, replayed: true }],
    ["that it is still checking", [reset], expect.any(Function)],
    ["a problem", [json(402, { detail: "declined" })], expect.objectContaining({ status: 402 })],
  ])("shows %s", async (_name, replies, expected) => {
    await withServer(replies, async ({ url }) => {
      vi.stubGlobal("location", new URL(url));
      vi.stubGlobal("localStorage", createStorage());
      const { pay, shown } = openPage();
      await pay(basket);
      expect(shown).toEqual([expected]);
    });
  });

  it("settles at the next start-up what a crash left behind, and shows its receipt", async () => {
    await withServer([reset, done], async ({ url, seen }) => {
      vi.stubGlobal("location", new URL(url));
      vi.stubGlobal("localStorage", createStorage());
      const { key } = await openPage().pay(basket);
      const page = openPage();
      await page.start();
      expect(seen.map((one) => one.key)).toEqual([key, key]);
      expect(page.shown).toEqual([{ value: { id: 1 }, replayed: false }]);
      expect(await page.shop.pending()).toEqual([]);
    });
  });
});

describe("its types", () => {
  it("infer the input from the request, and take the value from the operation's type", () => {
    vi.stubGlobal("location", new URL("https://shop.example/"));
    const { shop } = openPage();
    const placeOrder = shop.operation<Cart, { id: number }>("typed", {
      request: ({ lines }) => ({ path: "orders", json: { lines } }),
    });
    expectTypeOf(placeOrder.run).parameter(0).toEqualTypeOf<Cart>();
    type Result = Awaited<ReturnType<typeof placeOrder.run>>;
    expectTypeOf<Result>().toEqualTypeOf<RunResult<{ id: number } | undefined>>();
    expectTypeOf<Extract<Result, { kind: "done" }>["value"]>().toEqualTypeOf<
      { id: number } | undefined
    >();
  });
});

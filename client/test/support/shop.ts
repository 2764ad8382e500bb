/** The client under test, quick to retry and quiet. */
import { createClient } from "@oncekey/client";
import type { Client, ClientOptions, Operation, Warning } from "@oncekey/client";

export interface Cart {
  readonly id: string;
  readonly lines: readonly string[];
}

export interface TestShop {
  readonly client: Client;
  readonly order: Operation<Cart, { id: number } | undefined>;
  readonly warnings: readonly Warning[];
}

export const cart: Cart = { id: "cart-1", lines: ["apple"] };

/** @param prefix the API's URL, unless `options.ky` has one. */
export function createShop(prefix: string, { ky, ...options }: ClientOptions = {}): TestShop {
  const warnings: Warning[] = [];
  const client = createClient({
    ky: typeof ky === "function" ? ky.extend({ prefix }) : { prefix, ...ky },
    backoff: { baseMs: 1, capMs: 2 },
    // Settled is over, unless a test is about what is remembered.
    rememberMs: 0,
    onWarning: (warning) => warnings.push(warning),
    ...options,
  });
  const order = client.operation<Cart, { id: number }>("order", {
    request: ({ lines }) => ({ path: "orders", json: { lines } }),
    instance: ({ id }) => id,
  });
  return { client, order, warnings };
}

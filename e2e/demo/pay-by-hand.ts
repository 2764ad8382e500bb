/**
 * A payment as people write it by hand: a timeout, three tries, and no key that distinguishes the
 * tries from three orders.
 */
import type { Order, Receipt } from "../shop/wire.ts";

export interface ByHandOptions {
  /** Absolute, or relative to the page; ends in a slash. */
  readonly baseUrl: string;
  readonly fetch: typeof fetch;
  readonly timeoutMs: number;
}

export type ByHandResult =
  | { readonly kind: "paid"; readonly receipt: Receipt }
  | { readonly kind: "declined" }
  | { readonly kind: "failed" };

const TRIES = 3;
const PAUSE_MS = 300;

export async function payByHand(order: Order, options: ByHandOptions): Promise<ByHandResult> {
  for (let tries = 1; tries <= TRIES; tries += 1) {
    try {
      const response = await options.fetch(`${options.baseUrl}plain/orders`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(order),
        signal: AbortSignal.timeout(options.timeoutMs),
      });
      if (response.ok) return { kind: "paid", receipt: (await response.json()) as Receipt };
      if (response.status < 500) return { kind: "declined" };
    } catch {
      // A network error, a timeout or half a body: try again.
    }
    if (tries < TRIES) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  return { kind: "failed" };
}

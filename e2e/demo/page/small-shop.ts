/** The shop of the small pages: one cart, one operation, and a count of attempts. */
import { webStorage } from "@oncekey/client";
import type { RunResult } from "@oncekey/client";
import { createAttemptFetch } from "../attempts.ts";
import type { Attempt } from "../attempts.ts";
import { createOncekeyShop } from "../pay-with-oncekey.ts";
import type { OncekeyShop } from "../pay-with-oncekey.ts";
import type { Order, Receipt } from "../../shop/wire.ts";
import { createCart } from "./cart.ts";
import { paid } from "./status.ts";
import { BASE_URL, TIMEOUT_MS } from "./till.ts";

export interface SmallShop extends OncekeyShop {
  readonly order: Order;
  /** Whether the next reply is dropped. */
  readonly setFault: (isOn: boolean) => void;
  /** The count of attempts, as a store for `useSyncExternalStore`. */
  readonly sent: {
    readonly subscribe: (listener: () => void) => () => void;
    readonly getText: () => string;
  };
}

export function createSmallShop(): SmallShop {
  const attempts: Attempt[] = [];
  const listeners = new Set<() => void>();
  let isFaulty = false;
  const shop = createOncekeyShop({
    baseUrl: BASE_URL,
    timeoutMs: TIMEOUT_MS,
    storage: webStorage(),
    fetch: createAttemptFetch({
      nextFault() {
        const fault = isFaulty ? ({ kind: "drop-reply" } as const) : undefined;
        isFaulty = false;
        return fault;
      },
      record(attempt) {
        attempts.push(attempt);
        for (const listener of listeners) listener();
        return () => undefined;
      },
    }),
  });
  return {
    ...shop,
    order: createCart(sessionStorage).order(),
    setFault(isOn) {
      isFaulty = isOn;
    },
    sent: {
      subscribe(listener) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
      getText() {
        const keys = new Set(attempts.map(({ key }) => key)).size;
        return `Attempts: ${attempts.length}. Keys: ${keys}.`;
      },
    },
  };
}

/** Returns the text of a result for the shopper. */
export function textOf(result: RunResult<Receipt | undefined>): string {
  if (result.kind === "done") return paid(result.value).text;
  return result.kind === "unknown"
    ? "Not known yet. Press Pay again, and it goes on."
    : `The shop refused: ${result.error.message}.`;
}

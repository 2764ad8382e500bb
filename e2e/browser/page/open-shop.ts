/** The client as a shop has it, opened in whatever context loads this. */
import { createClient, indexedDbStorage, webStorage } from "@oncekey/client";
import type { RunResult, Warning } from "@oncekey/client";
import { FAULT_HEADER, formatFault } from "../../fault-proxy/fault.ts";
import type { FaultKind } from "../../fault-proxy/fault.ts";
import type { Order, Receipt } from "../../shop/wire.ts";
import type { BareShop, Kept, Told } from "../bare-shop.ts";

/** Longer than any attempt takes on a busy machine: the tests count attempts. */
const ATTEMPT_TIMEOUT_MS = 60_000;

/** Settings that a test gives with the address of the page. */
export interface ShopSettings {
  /** The longest wait between two attempts. `@default 100` */
  readonly backoffMs?: number;
  /** `@default '/api'` */
  readonly prefix?: string;
  /** The signed-in user. Default: none. */
  readonly owner?: string | undefined;
  /** `@default 4` */
  readonly attempts?: number;
}

export function openShop(kept: Kept, settings: ShopSettings = {}): BareShop {
  const { backoffMs = 100, prefix = "/api", owner, attempts = 4 } = settings;
  const ahead: FaultKind[] = [];
  const warnings: Warning[] = [];
  const client = createClient({
    ky: {
      prefix,
      hooks: {
        beforeRequest: [
          ({ request }) => {
            const kind = ahead.shift();
            if (kind !== undefined) request.headers.set(FAULT_HEADER, formatFault({ kind }));
          },
        ],
      },
    },
    storage: kept === "IndexedDB" ? indexedDbStorage() : webStorage(),
    owner: () => owner,
    attempts,
    attemptTimeoutMs: ATTEMPT_TIMEOUT_MS,
    backoff: { baseMs: backoffMs, capMs: backoffMs },
    onWarning: (warning) => warnings.push(warning),
  });
  const placeOrder = client.operation<Order, Receipt>("place-order", {
    request: (order) => ({ path: "orders", json: order }),
    instance: (order) => order.cart,
  });
  return {
    async run(order, ...faults) {
      ahead.push(...faults);
      return told(await placeOrder.run(order));
    },
    pending: async () => (await client.pending()).map(({ key }) => key),
    async resume() {
      const results = (await client.pending()).map(async ({ resume }) => told(await resume()));
      return Promise.all(results);
    },
    resumeAll: () => client.resumeAll(),
    warnings: async () => warnings.map(({ code }) => code),
  };
}

function told(result: RunResult<unknown>): Told {
  const { kind, key, attempts } = result;
  const isDone = kind === "done";
  return {
    kind,
    key,
    attempts,
    isReplayed: isDone && result.replayed,
    charge: isDone ? (result.value as Receipt).charge : undefined,
    error: isDone ? undefined : result.error.code,
  };
}

/** A page with the real client in it, which may end at any moment and leave behind nothing but its storage. */
import { createClient } from "@oncekey/client";
import type { Client, Operation, OperationStorage, RunResult } from "@oncekey/client";
import type { Content } from "./ledger.ts";
import type { ShopServer } from "./shop-server.ts";

export type Result = RunResult<unknown>;

export interface Tab {
  readonly client: Client;
  readonly order: Operation<Content, unknown>;
  /** Kills the tab: from now on it sends, writes and receives nothing. */
  readonly crash: () => void;
}

/** Short ones: time is virtual, but every attempt costs some of the real one. */
const POLICY = {
  attempts: 2,
  attemptTimeoutMs: 5_000,
  deadlineMs: 20_000,
  backoff: { baseMs: 100, capMs: 400 },
  retryBudget: 1_000,
  rememberMs: 0,
};

export interface TabParts {
  readonly server: ShopServer;
  readonly storage: OperationStorage;
  /** Delay of each request on its way to the storage, and of its answer on the way back. */
  readonly slownessMs: number;
  /** Whether what a page has asked of the storage still happens after the page has died. */
  readonly outlives: boolean;
  readonly onChange: "resolve-first" | "hold";
}

/** @param onSend hears of every key that is sent, and with what; not of mere looks. */
export function openTab(
  { server, storage, slownessMs, outlives, onChange }: TabParts,
  onSend: (key: string, content: Content) => void,
): Tab {
  let isCrashed = false;
  const alive = async <Value>(use: () => Value | Promise<Value>): Promise<Value> => {
    if (isCrashed) return new Promise(() => undefined);
    const value = await use();
    return isCrashed ? new Promise(() => undefined) : value;
  };
  const travel = (): Promise<void> | undefined =>
    slownessMs > 0 ? new Promise((resolve) => void setTimeout(resolve, slownessMs)) : undefined;
  const later = <Value>(use: () => Value | Promise<Value>): Promise<Value> =>
    alive(async () => {
      await travel();
      const value = await (outlives ? use() : alive(use));
      await travel();
      return value;
    });
  const client = createClient({
    ...POLICY,
    onChange,
    statusCheck: true,
    ky: {
      prefix: "https://shop.example/",
      fetch: (input, init) =>
        alive(async () => {
          const request = new Request(input, init);
          const text = await request.text();
          if (!request.headers.has("idempotency-only-if-stored"))
            onSend(request.headers.get("idempotency-key") ?? "none", JSON.parse(text) as Content);
          return server.fetch(request.headers, text);
        }),
    },
    onWarning: () => undefined,
    storage: {
      getItem: (name) => later(() => storage.getItem(name)),
      setItem: (name, value) => later(() => storage.setItem(name, value)),
      removeItem: (name) => later(() => storage.removeItem(name)),
      getAllKeys: () => later(() => storage.getAllKeys()),
      sharedAs: "storage",
    },
  });
  const order = client.operation<Content>("order", {
    request: ({ cart, lines }) => ({ path: "orders", json: { cart, lines } }),
    instance: ({ cart }) => cart,
  });
  return {
    client,
    order,
    crash() {
      isCrashed = true;
    },
  };
}

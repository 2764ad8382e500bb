/** A page with the real client in it, which may end at any moment and leave nothing but its storage. */
import { createClient } from "@oncekey/client";
import type { Client, Operation, OperationStorage, RunResult, Settled } from "@oncekey/client";
import type { Content } from "./ledger.ts";
import type { ShopServer } from "./shop-server.ts";

export type Result = RunResult<unknown>;

export interface Tab {
  readonly client: Client;
  readonly order: Operation<Content, unknown>;
  /** Ends the page: from now on it sends, writes and reports nothing. */
  readonly crash: () => void;
}

/** Short limits: time is virtual, but every attempt costs some real time. */
export const POLICY = {
  attempts: 2,
  attemptTimeoutMs: 5_000,
  deadlineMs: 20_000,
  backoff: { baseMs: 100, capMs: 400 },
  retryBudget: 1_000,
} as const;

/** The owner if no user is signed in. */
export const NOBODY = "nobody";

/** Options of the client that a history chooses. */
export interface TabOptions {
  readonly onChange: "resolve-first" | "hold";
  /** Whether the cart is the instance of an order. */
  readonly hasInstance: boolean;
  readonly rememberMs: number | undefined;
  /** Whether the client is created with `server: 'oncekey'`. */
  readonly isOncekey: boolean;
}

export interface TabParts extends TabOptions {
  readonly server: ShopServer;
  readonly storage: OperationStorage;
  /** Latency of the storage in ms, each way. */
  readonly slownessMs: number;
  /** Whether the storage still executes the calls of a page that has died. */
  readonly outlives: boolean;
  readonly signedIn: () => string;
}

export interface TabCallbacks {
  /** Called with every key that is sent, and its content. */
  readonly onSend: (key: string, content: Content, isLook: boolean) => void;
  readonly onSettled: (result: Settled) => void;
}

const OWNER = "x-model-owner";

export function openTab(parts: TabParts, { onSend, onSettled }: TabCallbacks): Tab {
  const { server, storage, slownessMs, outlives, signedIn } = parts;
  const { onChange, hasInstance, rememberMs, isOncekey } = parts;
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
  // A storage that answers at once is read and written in one tick.
  const at = <Value>(use: () => Value | Promise<Value>): Value | Promise<Value> =>
    slownessMs > 0 || isCrashed ? later(use) : use();
  const client = createClient({
    ...POLICY,
    onChange,
    rememberMs,
    ...(isOncekey ? { server: "oncekey" } : { statusCheck: true }),
    owner: () => (signedIn() === NOBODY ? undefined : signedIn()),
    ky: {
      prefix: "https://shop.example/",
      fetch: (input, init) =>
        alive(async () => {
          const request = new Request(input, init);
          const { headers } = request;
          const isLook = headers.has("idempotency-only-if-stored");
          const key = headers.get("idempotency-key") ?? "none";
          // Synchronously: the owner at this moment is the owner whose cookie the request carries.
          const body = typeof init?.body === "string" ? init.body : "";
          const content = contentOf({ body, headers: { [OWNER]: headers.get(OWNER) ?? "" } });
          onSend(key, content, isLook);
          return server.fetch(headers, body, content);
        }),
    },
    onWarning: () => undefined,
    storage: {
      getItem: (name) => at(() => storage.getItem(name)),
      setItem: (name, value) => at(() => storage.setItem(name, value)),
      removeItem: (name) => at(() => storage.removeItem(name)),
      getAllKeys: () => at(() => storage.getAllKeys()),
      sharedAs: "storage",
    },
  });
  const order = client.operation("order", {
    // The owner travels in a header, so that the same order of two users has one identity.
    request: ({ owner, cart, lines }: Content) => {
      return { path: "orders", json: { cart, lines }, headers: { [OWNER]: owner } };
    },
    instance: hasInstance ? ({ cart }: Content) => cart : undefined,
    onSettled(result) {
      if (!isCrashed) onSettled(result);
    },
  });
  return {
    client,
    order,
    crash() {
      isCrashed = true;
    },
  };
}

interface StoredRequest {
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Reads the content of a request, sent or stored. */
export function contentOf({ body, headers }: StoredRequest): Content {
  const { cart, lines } = JSON.parse(body) as Omit<Content, "owner">;
  return { owner: headers[OWNER] ?? "", cart, lines };
}

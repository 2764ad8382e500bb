/**
 * Simulates what the tabs of one origin share besides their storage: Web Locks and
 * BroadcastChannel, for tabs that can die.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { VirtualTime } from "./virtual-time.ts";

/** The tab of the running code, kept across every await. */
const current = new AsyncLocalStorage<symbol>();

export interface Origin {
  readonly run: <Value>(tab: symbol, use: () => Value) => Value;
  /** Closes a tab: it releases its locks, waits for none, and receives nothing. */
  readonly close: (tab: symbol) => void;
  /** Takes all of it out of the global scope again. */
  readonly restore: () => void;
}

interface Lock {
  readonly name: string;
  readonly tab: symbol | undefined;
  readonly grant: () => void;
  isHeld: boolean;
}

/**
 * Delivery time of a message: longer than it takes to release a lock and to acquire it in another
 * tab.
 */
const MESSAGE_MS = 5;

/** @param hasLocks `false`: as on a plain-http origin. */
export function openOrigin(time: VirtualTime, hasLocks: boolean): Origin {
  const gone = new Set<symbol | undefined>();
  let locks: readonly Lock[] = [];
  let channels: readonly Channel[] = [];

  function proceed(name: string): void {
    const first = locks.find((lock) => lock.name === name);
    if (first === undefined || first.isHeld) return;
    first.isHeld = true;
    first.grant();
  }
  function remove(isMeant: (lock: Lock) => boolean): void {
    const names = locks.filter(isMeant).map(({ name }) => name);
    locks = locks.filter((lock) => !isMeant(lock));
    names.forEach(proceed);
  }

  async function request<Value>(
    name: string,
    { ifAvailable = false, signal }: LockOptions,
    use: (lock: object | null) => Value | Promise<Value>,
  ): Promise<Value> {
    const tab = current.getStore();
    if (gone.has(tab)) return new Promise(() => undefined);
    if (ifAvailable && locks.some((lock) => lock.name === name)) return use(null);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const own: Lock = { name, tab, grant: resolve, isHeld: false };
    const stop = (): void => {
      if (own.isHeld) return;
      remove((lock) => lock === own);
      reject(signal?.reason as Error);
    };
    signal?.throwIfAborted();
    signal?.addEventListener("abort", stop, { once: true });
    locks = [...locks, own];
    proceed(name);
    await promise;
    try {
      return await use({ name });
    } finally {
      remove((lock) => lock === own);
    }
  }

  class Channel extends EventTarget {
    readonly tab = current.getStore();
    readonly name: string;
    constructor(name: string) {
      super();
      this.name = name;
      channels = [...channels, this];
    }
    postMessage(message: unknown): void {
      if (gone.has(this.tab)) return;
      const data: unknown = structuredClone(message);
      // Channels that are open now, unless they close before delivery (HTML Standard, "Broadcasting
      // to other browsing contexts").
      const others = channels.filter((channel) => channel !== this && channel.name === this.name);
      time.after(MESSAGE_MS, () => {
        for (const channel of others.filter((other) => channels.includes(other)))
          channel.dispatchEvent(new MessageEvent("message", { data }));
      });
    }
    close(): void {
      channels = channels.filter((channel) => channel !== this);
    }
  }

  const query = async () => ({
    held: locks.filter(({ isHeld }) => isHeld).map(({ name }) => ({ name })),
    pending: locks.filter(({ isHeld }) => !isHeld).map(({ name }) => ({ name })),
  });
  const restore = [
    define("navigator", hasLocks ? { locks: { request, query } } : {}),
    define("BroadcastChannel", Channel),
  ];
  return {
    run: (tab, use) => current.run(tab, use),
    close(tab) {
      gone.add(tab);
      channels = channels.filter((channel) => channel.tab !== tab);
      remove((lock) => lock.tab === tab);
    },
    restore: () => restore.forEach((one) => one()),
  };
}

interface LockOptions {
  readonly ifAvailable?: boolean;
  readonly signal?: AbortSignal;
}

/** Puts a value into the global scope; what it returns takes it out again. */
function define(name: string, value: unknown): () => void {
  const before = Object.getOwnPropertyDescriptor(globalThis, name);
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  return () => {
    if (before === undefined) Reflect.deleteProperty(globalThis, name);
    else Object.defineProperty(globalThis, name, before);
  };
}

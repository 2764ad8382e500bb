/** Web Locks and BroadcastChannel of one origin, for tabs that can die. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { VirtualTime } from "./virtual-time.ts";

/** The tab of the running code, through everything that the code awaits. */
const current = new AsyncLocalStorage<symbol>();

export interface Origin {
  readonly run: <Value>(tab: symbol, use: () => Value) => Value;
  /** Ends a tab: releases its locks, and stops its waiting and its messages. */
  readonly close: (tab: symbol) => void;
  /** Restores the global scope. */
  readonly restore: () => void;
}

interface Lock {
  readonly name: string;
  readonly tab: symbol | undefined;
  readonly grant: () => void;
  isHeld: boolean;
}

/** Transport time of a message in ms: longer than passing a lock from tab to tab. */
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
      // The HTML Standard ("Broadcasting to other browsing contexts") delivers to channels that are open now and stay open.
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

/** Puts a value into the global scope. The returned function restores the scope. */
function define(name: string, value: unknown): () => void {
  const before = Object.getOwnPropertyDescriptor(globalThis, name);
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  return () => {
    if (before === undefined) Reflect.deleteProperty(globalThis, name);
    else Object.defineProperty(globalThis, name, before);
  };
}

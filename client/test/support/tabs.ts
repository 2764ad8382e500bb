/** Two tabs of one origin: clients that know nothing of each other but the storage, Web Locks and BroadcastChannel. */
import { memoryStorage } from "@oncekey/client";
import type { ClientOptions, OperationStorage } from "@oncekey/client";
import { expect } from "vitest";
import { createShop } from "./shop.ts";
import type { TestShop } from "./shop.ts";

export interface Browser {
  readonly storage: OperationStorage;
  /** The name of the lock under which `cart` runs. */
  readonly lockName: string;
  readonly openTab: (prefix: string, options?: ClientOptions) => TestShop;
  /** Resolves as soon as this many runs wait for their turn. */
  readonly waiting: (count: number) => Promise<void>;
}

export const RECORD = "oncekey:1:order:cart-1";

export function openBrowser(): Browser {
  const storage = { ...memoryStorage(), sharedAs: crypto.randomUUID() };
  const lockName = `${RECORD}@${storage.sharedAs}`;
  return {
    storage,
    lockName,
    openTab: (prefix, options) => createShop(prefix, { storage, ...options }),
    async waiting(count) {
      const names = async () => {
        const { pending = [] } = await navigator.locks.query();
        return pending.filter(({ name }) => name === lockName);
      };
      await expect.poll(names).toHaveLength(count);
    },
  };
}

/** A gate that replies can wait at. */
export function createGate(): { readonly opened: Promise<void>; readonly open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}

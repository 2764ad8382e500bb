/** Two tabs of one origin: clients that know nothing of each other but the storage, Web Locks and BroadcastChannel. */
import { memoryStorage } from "@oncekey/client";
import type { ClientOptions, OperationStorage } from "@oncekey/client";
import { expect } from "vitest";
import { createRecordNames } from "../../src/records/record-names.ts";
import { createShop } from "./shop.ts";
import type { TestShop } from "./shop.ts";

export interface Browser {
  readonly storage: OperationStorage;
  /** The name of the lock under which `cart` runs. */
  readonly lockName: string;
  /** The name of the channel on which tabs notify each other of ended runs. */
  readonly channelName: string;
  readonly openTab: (prefix: string, options?: ClientOptions) => TestShop;
  /** Resolves as soon as this many runs wait for their turn. */
  readonly waiting: (count: number) => Promise<void>;
}

const NAMESPACE = "shop";
const NAMES = createRecordNames(() => NAMESPACE);

/** The name of the record of `cart` in a {@link namedStorage}, and what its lock begins with. */
export const RECORD = NAMES.nameOf(undefined, "order", "cart-1");

/** A storage in memory whose records have known names. */
export function namedStorage(): OperationStorage {
  return { ...memoryStorage(), namespace: NAMESPACE };
}

export function openBrowser(): Browser {
  const storage = { ...namedStorage(), sharedAs: crypto.randomUUID() };
  const lockName = `${RECORD}@${storage.sharedAs}`;
  const channelName = `${NAMES.prefix()}@${storage.sharedAs}`;
  return {
    storage,
    lockName,
    channelName,
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

/** The storage of one origin, and what its records are about. */
import type { Content } from "./ledger.ts";
import { contentOf } from "./tab.ts";

interface StoredRecord {
  readonly version: number;
  readonly key: string;
  /** Missing from a settled record; its body is missing past the lifetime of the key. */
  readonly request?: {
    readonly body?: string;
    readonly headers: Readonly<Record<string, string>>;
  };
}

export interface ShopStorage {
  readonly storage: {
    readonly getItem: (name: string) => string | null;
    readonly setItem: (name: string, value: string) => void;
    readonly removeItem: (name: string) => void;
    readonly getAllKeys: () => string[];
  };
  /** Returns the content of the unresolved record with this key. */
  readonly kept: (key: string) => Content | undefined;
  readonly keys: () => readonly string[];
  readonly keyAt: (name: string) => string | undefined;
  /** Rewrites a record as a later release would. */
  readonly upgrade: (key: string) => void;
  /** Rewrites all records as this release does, and returns the keys of those that change. */
  readonly restore: () => readonly string[];
}

/** @param onWrite called with the key of each record that is written. */
export function openStorage(onWrite: (key: string) => void): ShopStorage {
  const items = new Map<string, string>();
  const read = (text: string): StoredRecord => JSON.parse(text) as StoredRecord;
  const find = (key: string): [string, StoredRecord] | undefined =>
    [...items]
      .map(([name, text]) => [name, read(text)] as const)
      .find(([, one]) => one.key === key) as [string, StoredRecord] | undefined;

  function setVersion(key: string, version: number): void {
    const [name, record] = find(key) ?? [];
    if (name !== undefined) items.set(name, JSON.stringify({ ...record, version }));
  }

  return {
    storage: {
      getItem: (name) => items.get(name) ?? null,
      setItem(name, value) {
        items.set(name, value);
        onWrite(read(value).key);
      },
      removeItem: (name) => void items.delete(name),
      getAllKeys: () => [...items.keys()],
    },
    kept(key) {
      const { body, headers = {} } = find(key)?.[1].request ?? {};
      return body === undefined ? undefined : contentOf({ body, headers });
    },
    keys: () => [...items.values()].map((text) => read(text).key),
    keyAt(name) {
      const text = items.get(name);
      return text === undefined ? undefined : read(text).key;
    },
    upgrade: (key) => setVersion(key, 2),
    restore() {
      const later = [...items.values()].map(read).filter(({ version }) => version > 1);
      for (const { key } of later) setVersion(key, 1);
      return later.map(({ key }) => key);
    },
  };
}

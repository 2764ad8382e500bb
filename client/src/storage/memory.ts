/** Storage in memory: survives no reload. */
import type { OperationStorage } from "./storage.ts";

/** Keeps operations for as long as the page or process lives. The default: it needs nothing and survives nothing. */
export function memoryStorage(): OperationStorage {
  const items = new Map<string, string>();
  return {
    getItem: (name) => items.get(name) ?? null,
    setItem: (name, value) => void items.set(name, value),
    removeItem: (name) => void items.delete(name),
    getAllKeys: () => [...items.keys()],
  };
}

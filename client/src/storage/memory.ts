/** Storage in memory: survives no reload. */
import type { OperationStorage } from "./storage.ts";

/** Keeps operations for as long as the page or process lives. The default: it needs nothing and survives nothing. */
export function memoryStorage(): OperationStorage {
  const items = new Map<string, string>();
  const bodies = new Map<string, Blob | Uint8Array<ArrayBuffer>>();
  return {
    getItem: (name) => items.get(name) ?? null,
    setItem: (name, value) => void items.set(name, value),
    setBytes: (name, bytes) => void bodies.set(name, bytes),
    getBytes: (name) => bodies.get(name) ?? null,
    removeItem(name) {
      items.delete(name);
      bodies.delete(name);
    },
    getAllKeys: () => [...items.keys(), ...bodies.keys()],
  };
}

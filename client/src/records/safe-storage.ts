/** The application's storage as the client uses it: it never throws, hangs at most once, and falls back to memory. */
import type { OperationStorage } from "../storage/storage.ts";
import type { Warn } from "../options/warnings.ts";
import type { Bytes } from "../wire/body.ts";
import { withinLimit } from "../wire/timeout.ts";

export interface SafeStorage {
  readonly get: (name: string) => Promise<string | null>;
  /** Returns the last value that this page wrote under a name, for an entry that was damaged since. */
  readonly own: (name: string) => string | null;
  /**
   * Replaces what is kept under a name, or removes it (`null`), if it is still `expected`. A storage that answers at once is read
   * and written in the same tick, so that no other tab comes in between.
   */
  readonly swap: (name: string, expected: string | null, next: string | null) => Promise<boolean>;
  /** Whether bytes are kept as they are. */
  readonly keepsBytes: boolean;
  /** Keeps bytes under a name of their own; `false` if the storage refused. */
  readonly setBytes: (name: string, bytes: Bytes) => Promise<boolean>;
  readonly getBytes: (name: string) => Promise<Bytes | null>;
  readonly removeBytes: (name: string) => Promise<void>;
  readonly names: (prefix: string) => Promise<string[]>;
}

/** Longer than a disk takes, shorter than a customer waits. */
const STORAGE_WAIT_MS = 3_000;

export function createSafeStorage(storage: OperationStorage, warn: Warn): SafeStorage {
  // Values that this page wrote or removed (null): the answer for names whose change the storage refused.
  const memory = new Map<string, string | null>();
  const refused = new Set<string>();
  let isFailing = false;
  // A storage that hung is left alone until the call that hung ends: one wait for the whole client.
  let isHanging = false;

  async function attempt<Value>(
    use: () => Value | Promise<Value>,
  ): Promise<{ readonly value: Value } | undefined> {
    if (isHanging) return undefined;
    try {
      const answer = use();
      return { value: answer instanceof Promise ? await inTime(answer) : answer };
    } catch (cause) {
      const message = "The storage failed; operations do not survive a reload";
      if (!isFailing) warn({ code: "storage_failed", message, cause });
      isFailing = true;
      return undefined;
    }
  }

  // A database that another tab keeps shut gives no answer at all, and no error.
  async function inTime<Value>(answer: Promise<Value>): Promise<Value> {
    let isOver = false;
    const end = (): void => {
      isOver = true;
      isHanging = false;
    };
    answer.then(end, end);
    const limit = { timeoutMs: STORAGE_WAIT_MS, signal: undefined };
    try {
      return await withinLimit(limit, () => answer);
    } catch (error) {
      isHanging ||= !isOver;
      throw error;
    }
  }

  const own = (name: string): string | null => memory.get(name) ?? null;

  return {
    own,
    async get(name) {
      if (refused.has(name)) return own(name);
      const read = await attempt(() => storage.getItem(name));
      return read === undefined ? own(name) : (read.value ?? null);
    },
    async swap(name, expected, next) {
      const isRefused = refused.has(name);
      const swapIn = (current: string | null): boolean | Promise<boolean> => {
        if ((current ?? null) !== expected) return false;
        const written = next === null ? storage.removeItem(name) : storage.setItem(name, next);
        return written instanceof Promise ? written.then(() => true) : true;
      };
      const swapped = await attempt(() => {
        // It compares by itself, and in no more than one visit.
        if (expected === null && next !== null && !isRefused && storage.addItem)
          return storage.addItem(name, next);
        const current = isRefused ? own(name) : storage.getItem(name);
        return current instanceof Promise ? current.then(swapIn) : swapIn(current);
      });
      isFailing = swapped === undefined;
      if (swapped?.value === false) return false;
      if (swapped === undefined && own(name) !== expected) {
        // The storage does not answer: the last value that this page knows decides.
        if (memory.has(name)) return false;
      }
      if (swapped === undefined) refused.add(name);
      else refused.delete(name);
      if (next === null && swapped !== undefined) memory.delete(name);
      else memory.set(name, next);
      return true;
    },
    keepsBytes: storage.setBytes !== undefined && storage.getBytes !== undefined,
    async setBytes(name, bytes) {
      return (await attempt(() => storage.setBytes?.(name, bytes))) !== undefined;
    },
    async getBytes(name) {
      return (await attempt(() => storage.getBytes?.(name) ?? null))?.value ?? null;
    },
    async removeBytes(name) {
      await attempt(() => storage.removeItem(name));
    },
    async names(prefix) {
      const listed = (await attempt(() => storage.getAllKeys()))?.value ?? [];
      const all = new Set([...listed, ...memory.keys()]);
      return [...all].filter((name) => name.startsWith(prefix));
    },
  };
}

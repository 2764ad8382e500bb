/** The application's storage as the client uses it, without a server. */
import { memoryStorage } from "@oncekey/client";
import type { OperationStorage, Warning } from "@oncekey/client";
import { afterEach, describe, expect, it, vi } from "vitest";
import { createSafeStorage } from "../../src/records/safe-storage.ts";

afterEach(() => void vi.useRealTimers());

const broken = new Error("disk");

/** A storage in memory whose writes, reads or lists can be made to fail. */
function createSafe(more: Partial<OperationStorage> = {}) {
  const inner = memoryStorage();
  const failing = new Set<keyof OperationStorage>();
  const asked: string[] = [];
  const guard =
    <Given extends unknown[], Result>(
      name: keyof OperationStorage,
      use: (...given: Given) => Result,
    ) =>
    (...given: Given): Result => {
      asked.push(name);
      if (failing.has(name)) throw broken;
      return use(...given);
    };
  const warnings: Warning[] = [];
  const storage: OperationStorage = {
    getItem: guard("getItem", (name: string) => inner.getItem(name)),
    setItem: guard("setItem", (name: string, value: string) => inner.setItem(name, value)),
    removeItem: guard("removeItem", (name: string) => inner.removeItem(name)),
    getAllKeys: guard("getAllKeys", () => inner.getAllKeys()),
    ...more,
  };
  const safe = createSafeStorage(storage, (warning) => void warnings.push(warning));
  return { safe, inner, failing, asked, warnings };
}

describe("a value", () => {
  it("is replaced and removed if it is what is expected, and otherwise stays", async () => {
    const { safe, inner } = createSafe();
    expect(await safe.get("a")).toBeNull();
    expect(await safe.swap("a", "other", "1")).toBe(false);
    expect(await safe.swap("a", null, "1")).toBe(true);
    expect(await safe.swap("a", null, "2")).toBe(false);
    expect(await inner.getItem("a")).toBe("1");
    expect(await safe.swap("a", "1", "2")).toBe(true);
    expect(await safe.get("a")).toBe("2");
    expect(await safe.swap("a", "1", null)).toBe(false);
    expect(await safe.swap("a", "2", null)).toBe(true);
    expect(await inner.getItem("a")).toBeNull();
  });

  it("is compared and written in one tick by a storage that answers at once", async () => {
    const { safe, asked } = createSafe();
    const swapped = safe.swap("a", null, "1");
    expect(asked).toEqual(["getItem", "setItem"]);
    expect(await swapped).toBe(true);
  });

  it("may be undefined if the storage has none, and a promise", async () => {
    const items = new Map<string, string>();
    const { safe } = createSafe({
      getItem: async (name) => items.get(name) as never,
      setItem: async (name, value) => void items.set(name, value),
    });
    expect(await safe.get("a")).toBeNull();
    expect(await safe.swap("a", null, "1")).toBe(true);
    expect([await safe.get("a"), safe.own("a")]).toEqual(["1", "1"]);
  });

  it("that another tab changed is read, and the page still knows its own", async () => {
    const { safe, inner } = createSafe();
    await safe.swap("a", null, "mine");
    await inner.setItem("a", "theirs");
    expect([await safe.get("a"), safe.own("a")]).toEqual(["theirs", "mine"]);
    await safe.swap("a", "theirs", null);
    expect(safe.own("a")).toBeNull();
  });
});

describe("a storage that adds by itself", () => {
  it("is asked to add what is new, and nothing else", async () => {
    const added: string[] = [];
    const addItem = vi.fn(async (name: string) => {
      if (added.includes(name)) return false;
      added.push(name);
      return true;
    });
    const { safe, asked, failing } = createSafe({ addItem });
    expect(await safe.swap("a", null, "1")).toBe(true);
    expect(await safe.swap("a", null, "1")).toBe(false);
    expect([addItem.mock.calls, asked]).toEqual([
      [
        ["a", "1"],
        ["a", "1"],
      ],
      [],
    ]);
    await safe.swap("b", null, null);
    await safe.swap("b", "1", "2");
    expect(addItem).toHaveBeenCalledTimes(2);
    failing.add("removeItem");
    await safe.swap("c", null, null);
    await safe.swap("c", null, "1");
    expect(addItem).toHaveBeenCalledTimes(2);
  });
});

describe("a storage that refuses a change", () => {
  it("is replaced by memory for that name, until it takes a change again", async () => {
    const { safe, inner, failing, warnings } = createSafe();
    await inner.setItem("b", "kept");
    failing.add("setItem");
    expect(await safe.swap("a", null, "1")).toBe(true);
    await inner.setItem("a", "theirs");
    expect([await safe.get("a"), await safe.get("b")]).toEqual(["1", "kept"]);
    expect(await safe.swap("a", "2", "3")).toBe(false);
    expect(await safe.swap("a", "1", "2")).toBe(true);
    expect(await safe.get("a")).toBe("2");
    failing.clear();
    expect(await safe.swap("a", "2", "3")).toBe(true);
    await inner.setItem("a", "theirs");
    expect(await safe.get("a")).toBe("theirs");
    const message = "The storage failed; operations do not survive a reload";
    expect(warnings[0]).toEqual({ code: "storage_failed", message, cause: broken });
  });

  it("keeps a removal in memory", async () => {
    const { safe, inner, failing } = createSafe();
    await inner.setItem("a", "1");
    failing.add("removeItem");
    expect(await safe.swap("a", "1", null)).toBe(true);
    expect([await safe.get("a"), await inner.getItem("a")]).toEqual([null, "1"]);
  });

  it("warns again after it has worked, and once while it fails", async () => {
    const { safe, failing, warnings } = createSafe();
    failing.add("setItem");
    for (const name of ["a", "b"]) await safe.swap(name, null, "1");
    expect(warnings).toHaveLength(1);
    failing.clear();
    await safe.swap("c", null, "1");
    failing.add("setItem");
    await safe.swap("d", null, "1");
    expect(warnings).toHaveLength(2);
  });
});

describe("a storage that cannot be read", () => {
  it("leaves the page what it wrote last", async () => {
    const { safe, failing } = createSafe();
    await safe.swap("a", null, "1");
    failing.add("getItem");
    expect([await safe.get("a"), await safe.get("b")]).toEqual(["1", null]);
    expect(await safe.swap("a", "2", "3")).toBe(false);
    expect(await safe.swap("b", "unknown to this page", "1")).toBe(true);
    expect(await safe.get("b")).toBe("1");
  });

  it("lists the names of this page by their beginning", async () => {
    const { safe, inner, failing } = createSafe();
    await inner.setItem("cart:1", "theirs");
    await inner.setItem("other", "theirs");
    await safe.swap("cart:2", null, "1");
    expect((await safe.names("cart:")).toSorted()).toEqual(["cart:1", "cart:2"]);
    failing.add("getAllKeys");
    expect(await safe.names("cart:")).toEqual(["cart:2"]);
  });
});

describe("bytes", () => {
  const bytes = new Uint8Array([1, 2]);

  it("are kept if the storage can both write and read them", () => {
    const setBytes = (): void => {};
    const getBytes = (): null => null;
    const keeps = [{ setBytes, getBytes }, { setBytes }, { getBytes }, {}].map(
      (more) => createSafe(more).safe.keepsBytes,
    );
    expect(keeps).toEqual([true, false, false, false]);
  });

  it("are written, read and removed", async () => {
    const kept = new Map<string, unknown>();
    const { safe, asked } = createSafe({
      setBytes: (name, value) => void kept.set(name, value),
      getBytes: (name) => (kept.get(name) ?? null) as never,
    });
    expect(await safe.setBytes("a", bytes)).toBe(true);
    expect([await safe.getBytes("a"), await safe.getBytes("b")]).toEqual([bytes, null]);
    await safe.removeBytes("a");
    expect(asked).toEqual(["removeItem"]);
  });

  it("that the storage refuses are not kept, and cost no error", async () => {
    const fail = (): never => {
      throw broken;
    };
    const { safe, failing, warnings } = createSafe({ setBytes: fail, getBytes: fail });
    failing.add("removeItem");
    expect(await safe.setBytes("a", bytes)).toBe(false);
    expect(await safe.getBytes("a")).toBeNull();
    await safe.removeBytes("a");
    expect(warnings.map(({ code }) => code)).toEqual(["storage_failed"]);
  });
});

describe("a storage that hangs", () => {
  it("is waited for once, and asked again when that call has ended", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const answer = Promise.withResolvers<string>();
    const getItem = vi.fn(() => answer.promise);
    const { safe, warnings } = createSafe({ getItem });
    const first = safe.get("a");
    await vi.advanceTimersByTimeAsync(3_000);
    expect(await first).toBeNull();
    expect(await safe.get("a")).toBeNull();
    expect([getItem.mock.calls.length, warnings.length]).toEqual([1, 1]);
    answer.resolve("1");
    await vi.advanceTimersByTimeAsync(0);
    expect(await safe.get("a")).toBe("1");
    expect([getItem.mock.calls.length, vi.getTimerCount()]).toEqual([2, 0]);
  });

  it("is another one than a storage that rejects, which is asked each time", async () => {
    const getItem = vi.fn(() => Promise.reject(broken));
    const { safe } = createSafe({ getItem });
    for (const name of ["a", "b"]) expect(await safe.get(name)).toBeNull();
    expect(getItem).toHaveBeenCalledTimes(2);
  });
});

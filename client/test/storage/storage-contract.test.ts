import { asyncStorage, memoryStorage, webStorage } from "@oncekey/client";
import type { OperationStorage } from "@oncekey/client";
import { storageContract } from "@oncekey/client/storage-contract";
import type { StorageContractOptions } from "@oncekey/client/storage-contract";
import { describe, expect, it } from "vitest";
import { createStorage } from "../support/storage.ts";

function webPlace(): StorageContractOptions {
  let area: Storage;
  return {
    open: () => webStorage({ storage: (area = createStorage(Number.POSITIVE_INFINITY)) }),
    reopen: () => webStorage({ storage: area }),
  };
}

/** As React Native has it: with promises, and methods that need their `this`. */
class AsyncPlace {
  readonly #items = new Map<string, string>();
  getItem = async (name: string): Promise<string | null> => this.#items.get(name) ?? null;
  async setItem(name: string, value: string): Promise<void> {
    this.#items.set(name, value);
  }
  async removeItem(name: string): Promise<void> {
    this.#items.delete(name);
  }
  async getAllKeys(): Promise<readonly string[]> {
    return [...this.#items.keys()];
  }
}

function asyncPlace(): StorageContractOptions {
  let place: AsyncPlace;
  return {
    open: () => asyncStorage((place = new AsyncPlace())),
    reopen: () => asyncStorage(place),
  };
}

describe.each<[string, StorageContractOptions]>([
  ["memoryStorage", { open: memoryStorage }],
  ["webStorage", webPlace()],
  ["asyncStorage", asyncPlace()],
])("%s keeps the contract of storages:", (_name, options) => {
  for (const { title, run } of storageContract(options)) it(title, run);
});

describe("asyncStorage", () => {
  it.each([undefined, {}, { getItem() {}, setItem() {}, removeItem() {} }])(
    "refuses %j",
    (wrong) => {
      expect(() => asyncStorage(wrong as never)).toThrow(/^asyncStorage needs a storage with get/);
    },
  );
});

describe("the contract of storages", () => {
  const wrong: [string, (right: OperationStorage) => Partial<OperationStorage>, RegExp][] = [
    [
      "says undefined for what is not there",
      (right) => ({
        getItem: async (name) => (await right.getItem(name)) ?? (undefined as never),
      }),
      /what is not there must be null, is undefined/,
    ],
    ["forgets to remove", () => ({ removeItem: () => {} }), /what was let go of must be null/],
    [
      "lists what is gone",
      (right) => {
        const names = new Set<string>();
        return {
          setItem: (name, value) => (names.add(name), right.setItem(name, value)),
          getAllKeys: () => [...names],
        };
      },
      /all names must be \["two"\], is \["one","two"\]/,
    ],
    [
      "does not tell upper case from lower",
      (right) => ({
        getItem: (name) => right.getItem(name.toLowerCase()),
        setItem: (name, value) => right.setItem(name.toLowerCase(), value),
      }),
      /of oncekey:1:order:CART-1/,
    ],
    [
      "cuts off what is long",
      (right) => ({ setItem: (name, value) => right.setItem(name, value.slice(0, 50_000)) }),
      /must be "v+… \(100002 characters\), is "v+… \(50002 characters\)/,
    ],
    [
      "adds instead of replacing",
      (right) => ({
        setItem: async (name, value) =>
          right.setItem(name, `${(await right.getItem(name)) ?? ""}${value}`),
      }),
      /what was kept last must be "last"/,
    ],
    [
      "rejects for what is not there",
      (right) => ({
        removeItem: async (name) => {
          if ((await right.getItem(name)) === null) throw new Error("no such item");
          await right.removeItem(name);
        },
      }),
      /no such item/,
    ],
  ];

  it.each(wrong)("finds the storage that %s", async (_name, spoil, message) => {
    const open = (): OperationStorage => {
      const right = memoryStorage();
      return { ...right, ...spoil(right) };
    };
    const results = await Promise.allSettled(storageContract({ open }).map(({ run }) => run()));
    const reasons = results.filter((result) => result.status === "rejected");
    expect(reasons.map(({ reason }) => String(reason)).join("\n")).toMatch(message);
  });

  it("finds the storage that survives no reload", async () => {
    const checks = storageContract({ open: memoryStorage, reopen: memoryStorage });
    await expect(checks.at(-1)?.run()).rejects.toThrow('what was kept must be "1", is null');
  });
});

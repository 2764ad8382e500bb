/** The contract of a storage, as checks for any test framework. */
import type { OperationStorage } from "./storage/storage.ts";

/** One rule of the contract and its check. */
export interface StorageCheck {
  /** Title for a test. */
  readonly title: string;
  /** Rejects with an Error that names the difference. */
  readonly run: () => Promise<void>;
}

/** Functions that open the storage under test. */
export interface StorageContractOptions {
  /** Opens an empty storage on a place of its own. */
  readonly open: () => OperationStorage | Promise<OperationStorage>;
  /**
   * Opens a second storage on the place of the last `open`, as a page does after a reload. Default: none, for a storage that
   * survives nothing.
   */
  readonly reopen?: (() => OperationStorage | Promise<OperationStorage>) | undefined;
}

// Names that applications choose, and names that objects, paths and file systems trip over.
const NAMES = [
  "oncekey:1:order:cart-1",
  "oncekey:1:order:CART-1",
  "oncekey:1:order:cart%2F1",
  "../../etc/passwd",
  "con",
  "a name with spaces, quotes \" ' and \\",
  "ünïcödé 购物车 🛒",
  "__proto__",
  "length",
  "getItem",
  "n".repeat(1_000),
];

const VALUES = ["", "{}", "null", "two\nlines\r\n\tand\0more", "購物車 🛒", "v".repeat(100_000)];

/**
 * The contract of {@link OperationStorage}.
 *
 * @example
 * for (const { title, run } of storageContract({ open: () => myStorage() })) test(title, run)
 */
export function storageContract({ open, reopen }: StorageContractOptions): readonly StorageCheck[] {
  const check = (
    title: string,
    use: (storage: OperationStorage) => Promise<void>,
  ): StorageCheck => ({ title, run: async () => use(await open()) });

  const lasting = (again: () => OperationStorage | Promise<OperationStorage>): StorageCheck =>
    check("kept items survive a reload, and removed ones stay removed", async (storage) => {
      await storage.setItem("kept", "1");
      await storage.setItem("gone", "1");
      await storage.removeItem("gone");
      const later = await again();
      same(await later.getItem("kept"), "1", "what was kept");
      same(await later.getItem("gone"), null, "what was let go of");
      same(await keys(later), ["kept"], "all names");
    });

  return [
    check("an empty storage returns null, not undefined", async (storage) => {
      same(await storage.getItem("nothing"), null, "what is not there");
      same(await keys(storage), [], "all names");
    }),
    check("a value comes back character for character", async (storage) => {
      for (const value of VALUES) {
        await storage.setItem("item", value);
        same(await storage.getItem("item"), value, "what was kept");
      }
    }),
    check("a name is any text, and different names are different items", async (storage) => {
      await Promise.all(NAMES.map(async (name) => storage.setItem(name, `of ${name}`)));
      for (const name of NAMES) same(await storage.getItem(name), `of ${name}`, `what ${name} has`);
      same(await keys(storage), [...NAMES].sort(), "all names");
    }),
    check("the last value of a name stays, and is listed once", async (storage) => {
      await storage.setItem("item", "a longer one than that which comes after it");
      await storage.setItem("item", "last");
      same(await storage.getItem("item"), "last", "what was kept last");
      same(await keys(storage), ["item"], "all names");
    }),
    check("removing an item removes nothing else", async (storage) => {
      await storage.setItem("one", "1");
      await storage.setItem("two", "2");
      await storage.removeItem("one");
      same(await storage.getItem("one"), null, "what was let go of");
      same(await storage.getItem("two"), "2", "what was not");
      same(await keys(storage), ["two"], "all names");
    }),
    check("removing a missing item is no error", async (storage) => {
      await storage.removeItem("nothing");
      same(await keys(storage), [], "all names");
    }),
    check("addItem keeps the first of many simultaneous values", async (storage) => {
      if (storage.addItem === undefined) return;
      const values = ["1", "2", "3", "4"];
      const added = await Promise.all(
        values.map(async (value) => storage.addItem?.("item", value)),
      );
      const winners = values.filter((_value, index) => added[index] === true);
      same([winners.length, added.length], [1, 4], "how many were added");
      same([await storage.getItem("item")], winners, "what was added first");
      await storage.removeItem("item");
      same(await storage.addItem("item", "5"), true, "whether there is room after it is let go of");
      same(await storage.getItem("item"), "5", "what was added then");
    }),
    ...(reopen === undefined ? [] : [lasting(reopen)]),
  ];
}

async function keys(storage: OperationStorage): Promise<string[]> {
  return [...(await storage.getAllKeys())].sort();
}

function same(actual: unknown, expected: unknown, what: string): void {
  const [is, should] = [actual, expected].map((value) => JSON.stringify(value) ?? String(value));
  if (is !== should) throw new Error(`${what} must be ${shorten(should)}, is ${shorten(is)}`);
}

function shorten(text = ""): string {
  return text.length > 200 ? `${text.slice(0, 200)}… (${text.length} characters)` : text;
}

/** What a storage has to do, as checks that run in any test framework: for those who bring their own. */
import type { OperationStorage } from "./storage/storage.ts";

/** One sentence about a storage, and what finds out whether it is true. */
export interface StorageCheck {
  /** For the title of a test. */
  readonly title: string;
  /** Rejects with an Error that says what was found instead. */
  readonly run: () => Promise<void>;
}

/** How to get at the storage that is checked. */
export interface StorageContractOptions {
  /** Makes one on a place of its own, empty. */
  readonly open: () => OperationStorage | Promise<OperationStorage>;
  /**
   * Makes another one on the place of the last `open`, as a page does after a reload. Default: none, for a storage that survives
   * nothing.
   */
  readonly reopen?: (() => OperationStorage | Promise<OperationStorage>) | undefined;
}

// As operations and instances are named by applications, and as objects, paths and file systems trip over.
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
    check("what is kept and let go of is so after a reload", async (storage) => {
      await storage.setItem("kept", "1");
      await storage.setItem("gone", "1");
      await storage.removeItem("gone");
      const later = await again();
      same(await later.getItem("kept"), "1", "what was kept");
      same(await later.getItem("gone"), null, "what was let go of");
      same(await keys(later), ["kept"], "all names");
    });

  return [
    check("an empty storage has nothing, which is null and not undefined", async (storage) => {
      same(await storage.getItem("nothing"), null, "what is not there");
      same(await keys(storage), [], "all names");
    }),
    check("what is kept comes back, character for character", async (storage) => {
      for (const value of VALUES) {
        await storage.setItem("item", value);
        same(await storage.getItem("item"), value, "what was kept");
      }
    }),
    check("a name is any text, and names that differ are different places", async (storage) => {
      await Promise.all(NAMES.map(async (name) => storage.setItem(name, `of ${name}`)));
      for (const name of NAMES) same(await storage.getItem(name), `of ${name}`, `what ${name} has`);
      same(await keys(storage), [...NAMES].sort(), "all names");
    }),
    check("the last one that is kept under a name stays, and is listed once", async (storage) => {
      await storage.setItem("item", "a longer one than that which comes after it");
      await storage.setItem("item", "last");
      same(await storage.getItem("item"), "last", "what was kept last");
      same(await keys(storage), ["item"], "all names");
    }),
    check("what is let go of is gone, and nothing else is", async (storage) => {
      await storage.setItem("one", "1");
      await storage.setItem("two", "2");
      await storage.removeItem("one");
      same(await storage.getItem("one"), null, "what was let go of");
      same(await storage.getItem("two"), "2", "what was not");
      same(await keys(storage), ["two"], "all names");
    }),
    check("letting go of what is not there is no error", async (storage) => {
      await storage.removeItem("nothing");
      same(await keys(storage), [], "all names");
    }),
    check("where it adds, the first one stays, of many at once", async (storage) => {
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

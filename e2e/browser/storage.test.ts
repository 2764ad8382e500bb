import { describe, expect, test } from "vitest";
import type { FaultKind } from "../fault-proxy/fault.ts";
import type { CheckStorage } from "./bare-shop.ts";
import { newOrder, withBareShop } from "./with-bare-shop.ts";

/** Members of a page's global scope that Node lacks, as far as they are used here. */
interface PageScope {
  readonly localStorage: { setItem(name: string, value: string): void } | null;
}

describe("a storage that is full", async () => {
  const visit = await withBareShop();

  test("costs a payment nothing but its reload: the page warns, and the card is charged once", async () => {
    const { openTab, charges, sentKeys } = await visit();
    const { page, run, pending, warnings } = await openTab();
    await page.evaluate(() => {
      const { localStorage } = globalThis as unknown as PageScope;
      for (let length = 2 ** 23; length >= 1; length = Math.floor(length / 2)) {
        try {
          for (let entry = 0; ; entry += 1) {
            localStorage?.setItem(`${length} ${entry}`, "x".repeat(length));
          }
        } catch (error) {
          if (!(error instanceof Error && error.name === "QuotaExceededError")) throw error;
        }
      }
    });
    const order = newOrder();
    const results = await Promise.all([run(order, "drop-reply"), run(order)]);
    expect(results[0]).toMatchObject({ kind: "done", attempts: 2, isReplayed: true });
    expect(results[1]).toEqual(results[0]);
    expect(await warnings()).toContain("storage_failed");
    expect([sentKeys.length, new Set(sentKeys).size]).toEqual([2, 1]);
    expect([await charges(), await pending()]).toEqual([1, []]);
  });
});

describe("a browser without localStorage", async () => {
  const visit = await withBareShop({ args: ["--blink-settings=localStorageEnabled=false"] });

  test("pays once, clicked twice and with a lost reply, and warns that a reload would lose the key", async () => {
    const { openTab, charges, sentKeys } = await visit();
    const { page, run, pending, warnings } = await openTab();
    const storage = await page.evaluate(() => (globalThis as unknown as PageScope).localStorage);
    expect(storage).toBeNull();
    const order = newOrder();
    const results = await Promise.all([run(order, "drop-reply"), run(order)]);
    expect(results[0]).toMatchObject({ kind: "done", attempts: 2, isReplayed: true });
    expect(results[1]).toEqual(results[0]);
    expect(await warnings()).toContain("storage_failed");
    expect([sentKeys.length, new Set(sentKeys).size]).toEqual([2, 1]);
    expect([await charges(), await pending()]).toEqual([1, []]);
  });

  test("an operation whose outcome is unknown is still resumed with its key, as long as the page lives", async () => {
    const { openTab, charges, sentKeys } = await visit();
    const { run, pending, resume } = await openTab();
    const faults: FaultKind[] = ["drop-reply", "drop-reply", "drop-reply", "drop-reply"];
    expect(await run(newOrder(), ...faults)).toMatchObject({ kind: "unknown", attempts: 4 });
    expect(await pending()).toEqual([sentKeys[0]]);
    expect(await resume()).toMatchObject([{ kind: "done", isReplayed: true }]);
    expect([sentKeys.length, new Set(sentKeys).size]).toEqual([5, 1]);
    expect(await charges()).toBe(1);
  });
});

describe("the storages of a browser", async () => {
  const visit = await withBareShop();

  test.each(["localStorage", "IndexedDB"] as const)(
    "keep the contract of storages: %s",
    async (kept) => {
      const { page } = await (await visit()).openTab();
      const { right, wrong } = await page.evaluate(
        (name) => (globalThis as unknown as { checkStorage: CheckStorage }).checkStorage(name),
        kept,
      );
      expect(wrong).toEqual([]);
      expect(right.length).toBeGreaterThan(5);
    },
  );
});

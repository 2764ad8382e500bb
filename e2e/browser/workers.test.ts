import { expect, test } from "vitest";
import { newOrder, withBareShop } from "./with-bare-shop.ts";

const visit = await withBareShop();

test.each(["worker", "service-worker"] as const)(
  "in a %s, where a page's storage is out of reach, two clicks and a lost reply charge the card once",
  async (place) => {
    const { openTab, charges, sentKeys } = await visit();
    const { run, warnings, pending } = (await openTab()).at(place);
    const order = newOrder();
    const [first, second] = await Promise.all([run(order, "drop-reply"), run(order)]);
    expect(first).toMatchObject({ kind: "done", attempts: 2, isReplayed: true });
    expect(second).toEqual(first);
    expect(await warnings()).toContain("storage_failed");
    expect(await pending()).toEqual([]);
    expect([sentKeys.length, new Set(sentKeys).size]).toEqual([2, 1]);
    expect(await charges()).toBe(1);
  },
);

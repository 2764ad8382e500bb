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

test("a page, its worker and its service worker that share IndexedDB charge the same order once, under one key", async () => {
  const { openTab, charges, sentKeys } = await visit();
  const { at } = await openTab();
  const order = newOrder();
  const places = ["page", "worker", "service-worker"] as const;
  const shops = places.map((place) => at(`${place} with IndexedDB`));
  const results = await Promise.all(shops.map(({ run }) => run(order, "drop-reply")));
  expect(results.map(({ kind }) => kind)).toEqual(["done", "done", "done"]);
  expect(new Set(results.map(({ key, charge }) => `${key} ${charge}`)).size).toBe(1);
  expect(new Set(sentKeys).size).toBe(1);
  expect(await charges()).toBe(1);
  for (const { pending, warnings } of shops) {
    expect([await pending(), await warnings()]).toEqual([[], []]);
  }
});

test("what a page leaves behind in IndexedDB, its service worker settles", async () => {
  const { openTab, charges, sent, sentKeys } = await visit();
  const { page, at } = await openTab();
  void at("page with IndexedDB")
    .run(newOrder(), "delay")
    .catch(() => undefined);
  await sent(1);
  await page.reload();
  const { pending, resume } = at("service-worker with IndexedDB");
  expect(await pending()).toEqual([sentKeys[0]]);
  expect(await resume()).toMatchObject([{ kind: "done", key: sentKeys[0] }]);
  expect(new Set(sentKeys).size).toBe(1);
  expect(await charges()).toBe(1);
});

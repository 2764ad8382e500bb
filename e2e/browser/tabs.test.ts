import { expect, test } from "vitest";
import { newOrder, withBareShop } from "./with-bare-shop.ts";

const visit = await withBareShop();

test("two tabs that place the same order at once send one request, and the card is charged once", async () => {
  const { openTab, charges, sentKeys } = await visit();
  const [one, other] = [await openTab(), await openTab()];
  const order = newOrder();
  const results = await Promise.all([one.run(order), other.run(order)]);
  expect(results.map(({ kind }) => kind)).toEqual(["done", "done"]);
  expect(new Set(results.map(({ charge }) => charge)).size).toBe(1);
  expect(sentKeys).toHaveLength(1);
  expect(await charges()).toBe(1);
});

test("a crash of the tab in the middle of a payment leaves its key behind, and the next tab settles it", async () => {
  const { openTab, charges, sent, sentKeys, context } = await visit();
  const { page, run } = await openTab();
  const crashed = page.waitForEvent("crash");
  // It never ends: its page is gone.
  void run(newOrder(), "delay").catch(() => undefined);
  await sent(1);
  const devtools = await context.newCDPSession(page);
  void devtools.send("Page.crash").catch(() => undefined);
  await crashed;
  const next = await openTab();
  expect(await next.pending()).toEqual(sentKeys);
  expect(await next.resume()).toMatchObject([{ kind: "done", key: sentKeys[0] }]);
  expect(new Set(sentKeys).size).toBe(1);
  expect(await charges()).toBe(1);
});

test("a tab that dies hands its place on to the tab that waits", async () => {
  const { openTab, charges, sent, sentKeys, context } = await visit();
  const [one, other] = [await openTab(), await openTab()];
  const order = newOrder();
  const crashed = one.page.waitForEvent("crash");
  void one.run(order, "delay").catch(() => undefined);
  await sent(1);
  const waiting = other.run(order);
  const devtools = await context.newCDPSession(one.page);
  void devtools.send("Page.crash").catch(() => undefined);
  await crashed;
  expect(await waiting).toMatchObject({ kind: "done", key: sentKeys[0] });
  expect(new Set(sentKeys).size).toBe(1);
  expect(await charges()).toBe(1);
});

test("a shopper who leaves the page in the middle of a payment and comes back goes on with its key", async () => {
  const { openTab, charges, sent, sentKeys } = await visit();
  const { page, run, resume } = await openTab();
  void run(newOrder(), "delay").catch(() => undefined);
  await sent(1);
  await page.goto(new URL("/", page.url()).href);
  await page.goBack();
  expect(await resume()).toMatchObject([{ kind: "done", key: sentKeys[0] }]);
  expect(new Set(sentKeys).size).toBe(1);
  expect(await charges()).toBe(1);
});

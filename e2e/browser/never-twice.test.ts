/** The ways on which shoppers paid twice, or for nothing, with effects counted in the database. */
import type { BrowserContext } from "playwright-core";
import { expect, test } from "vitest";
import { newOrder, withBareShop } from "./with-bare-shop.ts";

const visit = await withBareShop();

/** Signs in another shopper: the next page gets the cookie. */
async function signOut(context: BrowserContext) {
  const cookies = await context.cookies();
  await context.clearCookies();
  return {
    signInAgain: async () => {
      await context.clearCookies();
      await context.addCookies(cookies);
    },
  };
}

test("a redirect to the sign-in page is no order: it is unknown, keeps its key, and is placed once after signing in", async () => {
  const { openTab, charges, sentKeys } = await visit();
  const { run, pending, resume } = await openTab();
  const result = await run(newOrder(), "sign-in");
  expect(result).toMatchObject({ kind: "unknown", error: "unexpected_answer" });
  expect([await charges(), await pending()]).toEqual([0, [result.key]]);
  expect(await resume()).toMatchObject([{ kind: "done", key: result.key }]);
  expect(new Set(sentKeys).size).toBe(1);
  expect(await charges()).toBe(1);
});

test("a lost reply and then the sign-in page: the order is unknown, and signing in finds it instead of paying again", async () => {
  const { openTab, charges, sentKeys } = await visit();
  const { run, resume } = await openTab({ attempts: "1" });
  const order = newOrder();
  expect(await run(order, "drop-reply")).toMatchObject({ kind: "unknown" });
  const second = await run(order, "sign-in");
  expect(second).toMatchObject({ kind: "unknown", error: "unexpected_answer" });
  expect(await resume()).toMatchObject([{ kind: "done", isReplayed: true, key: second.key }]);
  expect(new Set(sentKeys).size).toBe(1);
  expect(await charges()).toBe(1);
});

test("after signing out, another user neither sees nor sends the first one's order, and pays an own one", async () => {
  const { openTab, charges, sentKeys, context } = await visit();
  const alice = await openTab({ owner: "alice", attempts: "1" });
  const order = newOrder();
  const hers = await alice.run(order, "drop-reply");
  expect([hers.kind, await charges()]).toEqual(["unknown", 1]);
  const { signInAgain } = await signOut(context);
  await alice.page.close();

  const bob = await openTab({ owner: "bob", attempts: "1" });
  await bob.resumeAll();
  expect([await bob.pending(), sentKeys, await charges()]).toEqual([[], [hers.key], 0]);
  const his = await bob.run(order);
  expect(his).toMatchObject({ kind: "done", isReplayed: false });
  expect([his.key === hers.key, await charges()]).toEqual([false, 1]);
  await bob.page.close();

  await signInAgain();
  const again = await openTab({ owner: "alice" });
  expect(await again.pending()).toEqual([hers.key]);
  expect(await again.resume()).toMatchObject([{ kind: "done", isReplayed: true }]);
  expect(await charges()).toBe(1);
});

test("Back and Pay again is a replay of the same order", async () => {
  const { openTab, charges, sentKeys } = await visit();
  const { page, run } = await openTab();
  const order = newOrder();
  const first = await run(order);
  await page.goto(new URL("/login.html", page.url()).href);
  await page.goBack();
  const second = await run(order);
  expect([first, second]).toMatchObject([
    { kind: "done", isReplayed: false },
    { kind: "done", isReplayed: true, charge: first.charge },
  ]);
  expect(new Set(sentKeys).size).toBe(1);
  expect(await charges()).toBe(1);
});

test("two applications on one origin with the same operation name never meet", async () => {
  const { openTab, charges, sentKeys } = await visit();
  const one = await openTab({ attempts: "1" });
  const other = await openTab({ prefix: "/api/plain" });
  const order = newOrder();
  const first = await one.run(order, "drop-reply");
  expect([first.kind, await other.pending()]).toEqual(["unknown", []]);
  const second = await other.run(order);
  expect(second).toMatchObject({ kind: "done", isReplayed: false });
  expect(new Set(sentKeys).size).toBe(2);
  expect(await one.pending()).toEqual([first.key]);
  expect(await one.resume()).toMatchObject([{ kind: "done", isReplayed: true }]);
  // One at each application.
  expect(await charges()).toBe(2);
});

test("a payment that began offline is made once, as soon as the connection is back", async () => {
  const { openTab, charges, context, sentKeys } = await visit();
  const { page, run } = await openTab({ backoffMs: "3000" });
  await context.setOffline(true);
  const failed = page.waitForEvent("requestfailed");
  const paying = run(newOrder());
  await failed;
  expect(await charges()).toBe(0);
  await context.setOffline(false);
  expect(await paying).toMatchObject({ kind: "done", isReplayed: false });
  expect(new Set(sentKeys).size).toBe(1);
  expect(await charges()).toBe(1);
});

test("a cart that changes after an attempt offline is one order: the new one", async () => {
  const { openTab, charges, context, sentKeys } = await visit();
  const { run } = await openTab({ attempts: "1" });
  const order = newOrder();
  await context.setOffline(true);
  const first = await run(order);
  expect(first.kind).not.toBe("done");
  await context.setOffline(false);
  const second = await run({ ...order, amountCents: 30_00 });
  expect(second).toMatchObject({ kind: "done", isReplayed: false });
  expect(sentKeys.length).toBeGreaterThan(0);
  expect(await charges()).toBe(1);
});

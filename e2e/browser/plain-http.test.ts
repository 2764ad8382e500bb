import { expect, test } from "vitest";
import { newOrder, withBareShop } from "./with-bare-shop.ts";

const HOST = "shop.test";
const visit = await withBareShop({
  host: HOST,
  args: [`--host-resolver-rules=MAP ${HOST} 127.0.0.1`],
});

test("on a plain-http origin, where Web Crypto and Web Locks are missing, the card is charged once", async () => {
  const { openTab, charges, sentKeys } = await visit();
  const { page, run } = await openTab();
  expect(
    await page.evaluate(() => {
      const { isSecureContext, crypto, navigator } = globalThis as unknown as {
        isSecureContext: boolean;
        crypto: { randomUUID?: unknown; subtle?: unknown };
        navigator: { locks?: unknown };
      };
      return [
        isSecureContext,
        typeof crypto.randomUUID,
        typeof crypto.subtle,
        typeof navigator.locks,
      ];
    }),
  ).toEqual([false, "undefined", "undefined", "undefined"]);
  const order = newOrder();
  const [first, second] = await Promise.all([run(order, "drop-reply"), run(order)]);
  expect(first).toMatchObject({ kind: "done", attempts: 2, isReplayed: true });
  expect(second).toEqual(first);
  expect([sentKeys.length, new Set(sentKeys).size]).toEqual([2, 1]);
  expect(await charges()).toBe(1);
});

test("on a plain-http origin the record in the storage keeps a second tab on the same key", async () => {
  const { openTab, charges, sent, sentKeys } = await visit();
  const [one, other] = [await openTab(), await openTab()];
  const order = newOrder();
  const running = one.run(order, "delay");
  await sent(1);
  const results = await Promise.all([running, other.run(order)]);
  expect(results.map(({ kind, key }) => [kind, key])).toEqual([
    ["done", sentKeys[0]],
    ["done", sentKeys[0]],
  ]);
  expect(new Set(sentKeys).size).toBe(1);
  expect(await charges()).toBe(1);
});

test("on a plain-http origin a reload in the middle of a payment goes on with its key", async () => {
  const { openTab, charges, sent, sentKeys } = await visit();
  const { page, run, resume } = await openTab();
  void run(newOrder(), "delay").catch(() => undefined);
  await sent(1);
  await page.reload();
  expect(await resume()).toMatchObject([{ kind: "done", key: sentKeys[0] }]);
  expect(new Set(sentKeys).size).toBe(1);
  expect(await charges()).toBe(1);
});

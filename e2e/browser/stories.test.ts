import { expect, test } from "vitest";
import { withShop } from "./with-shop.ts";
import type { ShopPage } from "./with-shop.ts";

const openShop = withShop();

async function play({ page }: ShopPage, title: string): Promise<void> {
  await page.getByRole("button", { name: `Play ${title}` }).click();
}

/** Resolves when the timeline has the note. */
async function tells({ page }: ShopPage, note: RegExp): Promise<void> {
  await page.locator("#timeline > li:first-child .note").filter({ hasText: note }).waitFor();
}

async function keys(shop: ShopPage): Promise<string[]> {
  return (await shop.attempts()).map(([, key = ""]) => key);
}

test("two tabs at once: one of them asks the shop, both get the result, and the card is charged once", async () => {
  const shop = await openShop();
  await play(shop, "Two tabs at once");
  await tells(shop, /the other one waited, and both were told: order \d+, charged once\.$/);
  expect(await keys(shop)).toHaveLength(1);
  await shop.counts("Charges", 1);
});

test("the cart changes while the outcome is not known: the earlier order is found, and charged once", async () => {
  const shop = await openShop();
  await play(shop, "The cart changes in between");
  await tells(shop, /^The answer carried the earlier order: order \d+, charged once\.$/);
  const attempts = await shop.attempts();
  expect(attempts.map(([, , fault, answer]) => [fault, answer?.replace(/[AB]/, "A")])).toEqual([
    ["Drop the reply", "the connection died"],
    ["Drop the reply", "the connection died"],
    ["none", "201 from server A, replayed"],
  ]);
  expect(new Set(await keys(shop)).size).toBe(1);
  await shop.counts("Charges", 1);
});

test("without a connection nothing is sent; once it is back, one attempt is enough", async () => {
  const shop = await openShop();
  await play(shop, "Without a connection");
  await tells(shop, /^Offline\. Pay was pressed, and nothing was sent\.$/);
  expect(await keys(shop)).toEqual([]);
  await tells(shop, /^Online again\.$/);
  await tells(shop, /^The payment went on by itself: order \d+, charged once\.$/);
  expect(await keys(shop)).toHaveLength(1);
  await shop.counts("Charges", 1);
});

test("a clock that is a day slow: the shop corrects it, and the next key is right", async () => {
  const shop = await openShop();
  await play(shop, "A clock that is a day slow");
  await tells(shop, /^The next key was made by the shop's clock: order \d+, charged once\.$/);
  const [refused, paid] = await shop.attempts();
  expect(refused?.[3]).toMatch(/^412/);
  expect(paid?.[3]).toMatch(/^201/);
  expect(new Set(await keys(shop)).size).toBe(2);
  await shop.counts("Charges", 1);
});

import { expect, test } from "vitest";
import { withShop } from "./with-shop.ts";

// An attempt that is delayed ends before its reply comes, and no other attempt takes so long.
const openShop = withShop({ attemptTimeoutMs: 8_000, delayMs: 12_000 });
const PLAIN = "Plain client (without Oncekey)";

test("two clicks on Pay send one request and charge the card once", async () => {
  const shop = await openShop();
  await shop.page.getByRole("button", { name: "Pay", exact: true }).dblclick();
  await shop.says(/^Paid 42\.50\. Order \d+\.$/);
  await shop.counts("Charges", 1);
  expect(await shop.attempts()).toHaveLength(1);
});

test("a lost reply is asked for again with the same key, and the card is charged once", async () => {
  const shop = await openShop();
  await shop.turnOn("Drop the reply");
  await shop.pay();
  await shop.says(/^Paid/);
  await shop.counts("Charges", 1);
  const [first, second] = await shop.attempts();
  expect(first?.slice(2, 4)).toEqual(["Drop the reply", "the connection died"]);
  expect(second?.[3]).toMatch(/^201 from server [AB], replayed$/);
  expect(second?.[1]).toBe(first?.[1]);
});

test("a payment that a reload interrupted is found, settled by itself, and charged once", async () => {
  const shop = await openShop();
  await shop.turnOn("Delay");
  await shop.pay();
  await shop.counts("Charges", 1);
  const [before] = await shop.attempts();
  await shop.page.reload();
  await shop.says(/^There was an unfinished payment\. Paid 42\.50\./);
  await shop.page.getByText("Found unfinished, settled by itself").waitFor();
  const [after] = await shop.attempts();
  expect(after?.[1]).toBe(before?.[1]);
  await shop.counts("Charges", 1);
});

test("when the server that took the money is killed, the other one answers for it", async () => {
  const shop = await openShop();
  await shop.turnOn("Kill the server");
  await shop.pay();
  await shop.says(/^Paid/);
  await shop.counts("Charges", 1);
  const attempts = await shop.attempts();
  expect(attempts.map(([, , fault]) => fault)).toEqual(["Kill the server", "none"]);
  expect(attempts[1]?.[3]).toMatch(/replayed$/);
});

test("all five faults in a row are six attempts, one key and one charge", async () => {
  const shop = await openShop();
  const faults = ["Drop the reply", "Cut the body", "Delay", "Answer 503", "Kill the server"];
  for (const fault of faults) await shop.turnOn(fault);
  await shop.pay();
  await shop.says(/^Paid/);
  await shop.counts("Charges", 1);
  const attempts = await shop.attempts();
  expect(attempts.map(([, , fault]) => fault)).toEqual([...faults, "none"]);
  expect(new Set(attempts.map(([, key]) => key)).size).toBe(1);
});

test("a declined card is not charged, and the next try is another payment", async () => {
  const shop = await openShop();
  const wrap = shop.page.getByLabel("Gift wrap");
  await wrap.check();
  await shop.pay();
  await shop.says(/^The card was declined/);
  const [declined] = await shop.attempts();
  expect(declined?.[3]).toMatch(/^402/);
  await shop.counts("Charges", 0);
  await wrap.uncheck();
  await shop.pay();
  await shop.says(/^Paid 42\.50/);
  await shop.counts("Charges", 1);
  const [paid] = await shop.attempts();
  expect(paid?.[1]).not.toBe(declined?.[1]);
});

test("the plain client charges the card twice when a reply is lost", async () => {
  const shop = await openShop();
  await shop.turnOn("Drop the reply");
  await shop.turnOn(PLAIN);
  await shop.pay();
  await shop.says(/^Paid/);
  await shop.counts("Plain client", 2);
  await shop.counts("Charges", 0);
  await shop.page.getByText("This cart was charged 2 times.").waitFor();
});

test("the plain client charges the card twice for two clicks", async () => {
  const shop = await openShop();
  await shop.turnOn(PLAIN);
  await shop.page.getByRole("button", { name: "Pay", exact: true }).dblclick();
  await shop.counts("Plain client", 2);
});

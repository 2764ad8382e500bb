import { expect, test } from "vitest";
import { withShop } from "./with-shop.ts";

const openShop = withShop();

test.each([
  ["React", "react.html"],
  ["TanStack Query", "tanstack-query.html"],
])(
  "the checkout with %s charges the card once for two clicks and a lost reply",
  async (_name, path) => {
    const shop = await openShop();
    await shop.page.goto(new URL(path, shop.page.url()).href);
    await shop.turnOn("Drop the next reply");
    await shop.page.getByRole("button", { name: "Pay", exact: true }).dblclick();
    await shop.says(/^Paid 42\.50\. Order \d+\.$/);
    await shop.page.getByText("Attempts: 2. Keys: 1.").waitFor();
    await shop.page.goto(new URL("/", shop.page.url()).href);
    await shop.counts("Charges", 1);
  },
);

test("in React a payment that a reload interrupted is resumed and shown", async () => {
  const shop = await openShop();
  await shop.page.goto(new URL("react.html", shop.page.url()).href);
  await shop.turnOn("Drop the next reply");
  const dropped = shop.page.waitForEvent("requestfailed");
  await shop.pay();
  await dropped;
  await shop.page.reload();
  await shop.says(/^Paid 42\.50\. Order \d+\.$/);
  await shop.page.goto(new URL("/", shop.page.url()).href);
  await shop.counts("Charges", 1);
  const { "shop.cart": _cart, ...records } =
    await shop.page.evaluate<Record<string, string>>("({ ...localStorage })");
  // The key of the settled order is remembered, without its body.
  expect(Object.values(records).map((record) => JSON.parse(record) as object)).toEqual([
    expect.not.objectContaining({ request: expect.anything() }),
  ]);
});

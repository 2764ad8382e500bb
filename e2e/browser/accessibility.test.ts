import { expect, test } from "vitest";
import { findViolations } from "./axe.ts";
import { withShop } from "./with-shop.ts";

const openShop = withShop();

test.each(["light", "dark"] as const)(
  "axe-core finds nothing wrong with the page, %s, before and after a payment and a story",
  async (colorScheme) => {
    const shop = await openShop({ colorScheme });
    expect(await findViolations(shop.page)).toEqual([]);
    await shop.turnOn("Drop the reply");
    await shop.turnOn("Plain client (without Oncekey)");
    await shop.pay();
    await shop.counts("Plain client", 2);
    await shop.says(/^Paid/);
    await shop.page.getByRole("button", { name: "Play Two tabs at once" }).click();
    await shop.counts("Charges", 1);
    expect(await findViolations(shop.page)).toEqual([]);
  },
);

test.each(["react.html", "tanstack-query.html"])(
  "axe-core finds nothing wrong with %s before and after a payment",
  async (path) => {
    const shop = await openShop();
    await shop.page.goto(new URL(path, shop.page.url()).href);
    expect(await findViolations(shop.page)).toEqual([]);
    await shop.pay();
    await shop.says(/^Paid/);
    expect(await findViolations(shop.page)).toEqual([]);
  },
);

test("the whole checkout works from the keyboard", async () => {
  const shop = await openShop();
  const { keyboard } = shop.page;
  const focus = shop.page.locator(":focus");
  const focused = async (): Promise<string | undefined> =>
    (await focus.count()) === 0 ? undefined : ((await focus.getAttribute("id")) ?? undefined);
  const tabTo = async (id: string): Promise<void> => {
    for (let presses = 0; presses < 12 && (await focused()) !== id; presses += 1) {
      await keyboard.press("Tab");
    }
    expect(await focused()).toBe(id);
  };
  await tabTo("fault-drop-reply");
  await keyboard.press("Space");
  await keyboard.press("Shift+Tab");
  expect(await focused()).toBe("pay");
  await keyboard.press("Enter");
  await shop.says(/^Paid/);
  await shop.counts("Charges", 1);
  await tabTo("new-cart");
  await keyboard.press("Enter");
  expect(await focused()).toBe("pay");
});

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { AxeResults } from "axe-core";
import { expect, test } from "vitest";
import { withShop } from "./with-shop.ts";

const openShop = withShop();

test.each(["light", "dark"] as const)(
  "axe-core finds nothing wrong with the page, %s, before and after a payment",
  async (colorScheme) => {
    const shop = await openShop({ colorScheme });
    const axe = await readFile(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");
    await shop.page.evaluate(axe);
    const run = (): Promise<string[]> =>
      shop.page.evaluate(async () => {
        const { axe: tool } = globalThis as unknown as { axe: { run(): Promise<AxeResults> } };
        const { violations } = await tool.run();
        return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join()}`);
      });
    expect(await run()).toEqual([]);
    await shop.turnOn("Drop the reply");
    await shop.turnOn("Plain client (without Oncekey)");
    await shop.pay();
    await shop.counts("Plain client", 2);
    await shop.says(/^Paid/);
    expect(await run()).toEqual([]);
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

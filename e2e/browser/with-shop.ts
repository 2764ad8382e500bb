/** For browser tests: one shopper with an empty cart on the checkout page a test. */
import type { BrowserContextOptions, Page } from "playwright-core";
import { withCheckout } from "./with-checkout.ts";
import type { WithCheckoutOptions } from "./with-checkout.ts";

/** Opens the checkout page for a new shopper. */
export type OpenShop = (options?: BrowserContextOptions) => Promise<ShopPage>;

export function withShop(checkoutOptions: WithCheckoutOptions = {}): OpenShop {
  const open = withCheckout(checkoutOptions);
  return async (options) => {
    const { checkout, newContext } = await open();
    const page = await (await newContext(options)).newPage();
    await page.goto(checkout.origin);
    return createShopPage(page);
  };
}

/** The page as a shopper finds it: everything by its accessible name. */
export interface ShopPage {
  readonly page: Page;
  readonly turnOn: (name: string) => Promise<void>;
  readonly pay: () => Promise<void>;
  /** Resolves when the page shows the text. */
  readonly says: (text: string | RegExp) => Promise<void>;
  /** Resolves when the number with this label is as given, and is again a moment later. */
  readonly counts: (label: "Charges" | "Plain client", number: number) => Promise<void>;
  /** The attempts of the last payment: the cells of each row. */
  readonly attempts: () => Promise<string[][]>;
}

function createShopPage(page: Page): ShopPage {
  const status = page.locator("#status");
  return {
    page,
    turnOn: (name) => page.getByRole("switch", { name, exact: true }).check(),
    pay: () => page.getByRole("button", { name: "Pay", exact: true }).click(),
    says: (text) => status.filter({ hasText: text }).waitFor(),
    counts: (label, number) =>
      page
        .getByLabel(label, { exact: true })
        .filter({ hasText: new RegExp(`^${number}$`) })
        .waitFor(),
    attempts: () =>
      page
        .locator("#timeline > li:first-child tbody tr")
        .evaluateAll((rows) =>
          rows.map((row) => [...row.querySelectorAll("td")].map((cell) => cell.innerText.trim())),
        ),
  };
}

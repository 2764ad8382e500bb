/** For browser tests: one running shop and one browser a file, one shopper with an empty cart a test. */
import type { BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll } from "vitest";
import { startCheckout } from "../checkout/checkout.ts";
import type { Checkout } from "../checkout/checkout.ts";
import { launchBrowser } from "../support/browser.ts";
import type { TestBrowser } from "../support/browser.ts";
import { withDatabase } from "../support/database.ts";

const WAIT_MS = 15_000;

/** Opens the checkout page for a new shopper. */
export type OpenShop = (options?: BrowserContextOptions) => Promise<ShopPage>;

export function withShop(): OpenShop {
  const database = withDatabase({ from: "empty" });
  let running: { readonly checkout: Checkout; readonly chromium: TestBrowser } | undefined;
  beforeAll(async () => {
    const [checkout, chromium] = await Promise.all([
      startCheckout({ databaseUrl: database.url }),
      launchBrowser(),
    ]);
    running = { checkout, chromium };
  }, 30_000);
  afterEach(async () => {
    await Promise.all(running?.chromium.browser.contexts().map((context) => context.close()) ?? []);
  });
  afterAll(async () => {
    await running?.chromium.close();
    await running?.checkout.stop();
  });
  return async (options) => {
    if (running === undefined) throw new Error("the shop is not open before the tests run");
    await running.checkout.ready();
    const context = await running.chromium.browser.newContext(options);
    context.setDefaultTimeout(WAIT_MS);
    const page = await context.newPage();
    await page.goto(running.checkout.origin);
    return createShopPage(page);
  };
}

/** The page as a shopper finds it: everything by its accessible name. */
export interface ShopPage {
  readonly page: Page;
  readonly turnOn: (name: string) => Promise<void>;
  readonly pay: () => Promise<void>;
  /** Resolves when the page says so. */
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

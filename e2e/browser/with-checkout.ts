/** For browser tests: one running shop and one browser a file. */
import type { BrowserContext, BrowserContextOptions } from "playwright-core";
import { afterAll, afterEach, beforeAll } from "vitest";
import { buildPage } from "../demo/page-files.ts";
import { startCheckout } from "../shop/checkout.ts";
import type { Checkout, CheckoutOptions } from "../shop/checkout.ts";
import { launchBrowser } from "@oncekey/test-support/browser/browser";
import type { BrowserOptions, TestBrowser } from "@oncekey/test-support/browser/browser";
import { withDatabase } from "@oncekey/test-support/postgres/database";

/** A minute: no attempt ends because the machine is busy. */
const WAIT_MS = 60_000;

export interface WithCheckoutOptions
  extends BrowserOptions, Pick<CheckoutOptions, "files" | "delayMs"> {
  /**
   * Attempt timeout of the checkout page. Default a minute: no attempt ends because the machine is
   * busy.
   */
  readonly attemptTimeoutMs?: number;
}

export interface OpenCheckout {
  readonly checkout: Checkout;
  /** A new shopper; closed after the test. */
  readonly newContext: (options?: BrowserContextOptions) => Promise<BrowserContext>;
}

/** Starts them before the tests of the file that calls it; what it returns gives them once all is up, after kills too. */
export function withCheckout(options: WithCheckoutOptions = {}): () => Promise<OpenCheckout> {
  const database = withDatabase({ from: "empty" });
  let running: { readonly checkout: Checkout; readonly chromium: TestBrowser } | undefined;
  beforeAll(async () => {
    const [checkout, chromium] = await Promise.all([
      startCheckout({
        databaseUrl: database.url,
        files: options.files ?? (await buildPage()),
        delayMs: options.delayMs,
      }),
      launchBrowser(options),
    ]);
    running = { checkout, chromium };
  });
  afterEach(async () => {
    await Promise.all(running?.chromium.browser.contexts().map((context) => context.close()) ?? []);
  });
  afterAll(async () => {
    await running?.chromium.close();
    await running?.checkout.stop();
  });
  return async () => {
    if (running === undefined) throw new Error("the shop is not open before the tests run");
    const { checkout, chromium } = running;
    await checkout.ready();
    return {
      checkout,
      async newContext(contextOptions) {
        const context = await chromium.browser.newContext(contextOptions);
        const { attemptTimeoutMs = WAIT_MS } = options;
        await context.addInitScript({ content: `attemptTimeoutMs = ${attemptTimeoutMs}` });
        return context;
      },
    };
  };
}

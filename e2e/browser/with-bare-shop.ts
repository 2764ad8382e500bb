/** For browser tests: the client on an empty page, its requests, and the charges that they led to. */
import { fileURLToPath } from "node:url";
import type { BrowserContext, BrowserContextOptions, Page } from "playwright-core";
import { buildFiles } from "../shop/page-files.ts";
import { shopperOf } from "../shop/shopper.ts";
import type { Order } from "../shop/wire.ts";
import type { BrowserOptions } from "@oncekey/test-support/browser/browser";
import type { BareShop, CallIn, Place } from "./bare-shop.ts";
import { withCheckout } from "./with-checkout.ts";

/** One browser of one shopper. */
export interface Visit {
  readonly context: BrowserContext;
  /** Opens the page in another tab, with settings for its shop. */
  readonly openTab: (settings?: Readonly<Record<string, string>>) => Promise<BareTab>;
  /** The key of every request that was sent, in any tab or worker. */
  readonly sentKeys: readonly string[];
  /** Resolves when that many have been sent. */
  readonly sent: (number: number) => Promise<void>;
  /** Number of the shopper's charges, counted in the database. */
  readonly charges: () => Promise<number>;
}

/** The shop in the page itself, and the page. */
export interface BareTab extends BareShop {
  readonly page: Page;
  /** The shop in a worker of the page. */
  readonly at: (place: Place) => BareShop;
}

/** An order of a new cart. */
export function newOrder(): Order {
  return { cart: crypto.randomUUID(), amountCents: 42_50 };
}

export function buildBarePage(): ReturnType<typeof buildFiles> {
  return buildFiles(fileURLToPath(new URL("page", import.meta.url)), {
    bare: "bare.html",
    login: "login.html",
    "service-worker": "worker.ts",
  });
}

/** @param host by which the browser calls this machine. */
export async function withBareShop(
  options: BrowserOptions & { readonly host?: string } = {},
): Promise<(contextOptions?: BrowserContextOptions) => Promise<Visit>> {
  const { host = "127.0.0.1", ...browserOptions } = options;
  const files = await buildBarePage();
  const open = withCheckout({ ...browserOptions, files });
  return async (contextOptions) => {
    const { checkout, newContext } = await open();
    const url = new URL("/bare.html", checkout.origin);
    url.hostname = host;
    const context = await newContext(contextOptions);
    const sentKeys: string[] = [];
    context.on("request", (request) => {
      const key = request.headers()["idempotency-key"];
      if (key !== undefined) sentKeys.push(key);
    });
    return {
      context,
      sentKeys,
      async openTab(settings = {}) {
        const page = await context.newPage();
        await page.goto(`${url.href}?${String(new URLSearchParams(settings))}`);
        return createTab(page);
      },
      async sent(number) {
        while (sentKeys.length < number) await context.waitForEvent("request");
      },
      async charges() {
        const [cookie] = await context.cookies();
        const counts = await checkout.countCharges(
          shopperOf(`${cookie?.name}=${cookie?.value}`) ?? "",
        );
        return counts.reduce((sum, { charges }) => sum + charges, 0);
      },
    };
  };
}

function createTab(page: Page): BareTab {
  const at = (place: Place): BareShop => {
    const call =
      <Result>(method: keyof BareShop) =>
      (...values: readonly unknown[]): Promise<Result> =>
        page.evaluate(
          (one) =>
            (globalThis as unknown as { callIn: CallIn }).callIn(one.place, one.method, one.values),
          { place, method, values },
        ) as Promise<Result>;
    return {
      run: call("run"),
      pending: call("pending"),
      resume: call("resume"),
      resumeAll: call("resumeAll"),
      warnings: call("warnings"),
    };
  };
  return { ...at("page"), page, at };
}

import { existsSync } from "node:fs";
import puppeteer from "puppeteer-core";
import type { Browser, BrowserContext, Page } from "puppeteer-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { startCheckout } from "../shop/checkout.ts";
import type { Checkout } from "../shop/checkout.ts";
import { shopperOf } from "../shop/shopper.ts";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import type { CallIn, Told } from "./bare-shop.ts";
import { buildBarePage, newOrder } from "./with-bare-shop.ts";

const PROGRAM = "/usr/bin/firefox-esr";
const isThere = existsSync(PROGRAM);
const suffix = isThere ? "" : ` (skipped: ${PROGRAM} is not installed)`;
/** Ends only what hangs. */
const WAIT_MS = 60_000;
/** Not a secure context: no Web Locks, which would keep a page out of the back/forward cache. */
const HOST = "shop.test";

describe.skipIf(!isThere)(`in Firefox${suffix}`, () => {
  const database = withDatabase({ from: "empty" });
  const running: { checkout?: Checkout; firefox?: Browser; context?: BrowserContext } = {};
  const keys: string[] = [];
  beforeAll(async () => {
    running.checkout = await startCheckout({
      databaseUrl: database.url,
      files: await buildBarePage(),
    });
    running.firefox = await launch();
  });
  afterEach(async () => {
    keys.length = 0;
    await running.context?.close();
  });
  afterAll(async () => {
    await running.firefox?.close();
    await running.checkout?.stop();
  });

  async function openTab(host = "127.0.0.1", query = ""): Promise<Page> {
    const { checkout, firefox } = running;
    if (checkout === undefined || firefox === undefined) throw new Error("nothing runs yet");
    await checkout.ready();
    if (running.context?.closed !== false) running.context = await firefox.createBrowserContext();
    const page = await running.context.newPage();
    page.setDefaultTimeout(WAIT_MS);
    page.on("request", (request) => {
      const key = request.headers()["idempotency-key"];
      if (key !== undefined) keys.push(key);
    });
    const url = new URL(`/bare.html${query}`, checkout.origin);
    url.hostname = host;
    await page.goto(url.href);
    return page;
  }

  async function countCharges(): Promise<number | undefined> {
    const [cookie] = (await running.context?.cookies()) ?? [];
    const shopper = shopperOf(`${cookie?.name}=${cookie?.value}`) ?? "";
    const counts = await running.checkout?.countCharges(shopper);
    return counts?.reduce((sum, { charges }) => sum + charges, 0);
  }

  test("two tabs that place the same order at once send one request and charge the card once", async () => {
    const tabs = [await openTab(), await openTab()];
    const order = newOrder();
    const results = await Promise.all(tabs.map((page) => call<Told>(page, "run", order)));
    expect(results.map(({ kind }) => kind)).toEqual(["done", "done"]);
    expect(new Set(results.map(({ charge }) => charge)).size).toBe(1);
    expect(keys).toHaveLength(1);
    expect(await countCharges()).toBe(1);
  });

  test("a reload in the middle of a payment goes on with its key", async () => {
    const page = await openTab();
    const sent = page.waitForRequest((request) => request.method() === "POST");
    void call(page, "run", newOrder(), "delay").catch(() => undefined);
    await sent;
    await page.reload();
    const [result] = await call<Told[]>(page, "resume");
    expect(result).toMatchObject({ kind: "done", key: keys[0] });
    expect(new Set(keys).size).toBe(1);
    expect(await countCharges()).toBe(1);
  });

  /** Two clicks and a lost reply where nothing can be written down. */
  async function expectOneCharge(page: Page): Promise<void> {
    const order = newOrder();
    const [first, second] = await Promise.all([
      call<Told>(page, "run", order, "drop-reply"),
      call<Told>(page, "run", order),
    ]);
    expect(first).toMatchObject({ kind: "done", attempts: 2, isReplayed: true });
    expect(second).toEqual(first);
    expect(await call(page, "warnings")).toContain("storage_failed");
    expect([keys.length, new Set(keys).size]).toEqual([2, 1]);
    expect([await countCharges(), await call(page, "pending")]).toEqual([1, []]);
  }

  test("a storage that is full costs a payment nothing but its reload", async () => {
    const page = await openTab();
    await page.evaluate(`
      for (let length = 2 ** 23; length >= 1; length = Math.floor(length / 2)) {
        try {
          for (let entry = 0; ; entry += 1) localStorage.setItem(length + " " + entry, "x".repeat(length));
        } catch (error) {
          if (!/quota/i.test(error.name)) throw error;
        }
      }
    `);
    await expectOneCharge(page);
  });

  test("so does one that is switched off", async () => {
    const firefox = await launch({ "dom.storage.enabled": false });
    try {
      running.context = await firefox.createBrowserContext();
      const page = await openTab();
      expect(await page.evaluate("localStorage")).toBeNull();
      await expectOneCharge(page);
    } finally {
      await firefox.close();
      delete running.context;
    }
  });

  test("on a plain-http origin the record in the storage keeps a second tab on the same key", async () => {
    const tabs = [await openTab(HOST), await openTab(HOST)];
    expect(await tabs[0]?.evaluate("[isSecureContext, typeof navigator.locks]")).toEqual([
      false,
      "undefined",
    ]);
    const order = newOrder();
    const [one, other] = tabs;
    const sent = one?.waitForRequest((request) => request.method() === "POST");
    const first = one && call<Told>(one, "run", order, "delay");
    await sent;
    const results = await Promise.all([first, other && call<Told>(other, "run", order)]);
    expect(results.map((told) => [told?.kind, told?.key])).toEqual([
      ["done", keys[0]],
      ["done", keys[0]],
    ]);
    expect(new Set(keys).size).toBe(1);
    expect(await countCharges()).toBe(1);
  });

  test("a page that comes back from the back/forward cache goes on with its key by itself", async () => {
    const page = await openTab(HOST, "?backoffMs=8000");
    // Nothing is under way when the page is left: it waits for its next attempt, as long as it may.
    await page.evaluate(`
      Math.random = () => 0.999;
      addEventListener("pageshow", ({ persisted }) => Object.assign(globalThis, { persisted }));
    `);
    const lost = new Promise((resolve) => page.once("requestfailed", resolve));
    await page.evaluate((order) => {
      const { callIn } = globalThis as unknown as { callIn: CallIn };
      Object.assign(globalThis, { result: callIn("page", "run", [order, "drop-reply"]) });
    }, newOrder());
    await lost;
    await page.goto(new URL("/", page.url()).href);
    // No load comes of it: the page is the one that was left.
    await page.evaluate("history.back()");
    await page.waitForFunction(() => "persisted" in globalThis);
    const state = await page.evaluate(async () => {
      const { persisted, result } = globalThis as unknown as {
        persisted: boolean;
        result: unknown;
      };
      return [persisted, await result];
    });
    expect(state).toMatchObject([true, { kind: "done", key: keys[0], attempts: 2 }]);
    expect([keys.length, new Set(keys).size]).toEqual([2, 1]);
    expect(await countCharges()).toBe(1);
  });
});

function launch(preferences: Readonly<Record<string, unknown>> = {}): Promise<Browser> {
  return puppeteer.launch({
    browser: "firefox",
    executablePath: PROGRAM,
    timeout: WAIT_MS,
    extraPrefsFirefox: { "network.dns.localDomains": HOST, ...preferences },
  });
}

function call<Result>(page: Page, method: string, ...values: unknown[]): Promise<Result> {
  return page.evaluate(
    (name, list) =>
      (globalThis as unknown as { callIn: CallIn }).callIn("page", name as "run", list),
    method,
    values,
  ) as Promise<Result>;
}

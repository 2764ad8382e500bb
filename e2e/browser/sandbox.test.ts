import http from "node:http";
import type { AddressInfo } from "node:net";
import { EXPOSED_HEADERS } from "@oncekey/server";
import type { Frame } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchBrowser } from "@oncekey/test-support/browser/browser";
import type { TestBrowser } from "@oncekey/test-support/browser/browser";
import { bundle } from "@oncekey/test-support/browser/bundle";

/** The key of each request; the effects by key. */
const seen: string[] = [];
const effects = new Set<string>();

/** Serves a page with a frame that has no origin, and an API that loses its first answer. */
const server = http.createServer((request, response) => {
  if (request.method === "GET") {
    const frame = '<iframe sandbox="allow-scripts" src="/frame"></iframe>';
    const isFrame = request.url === "/frame";
    response.writeHead(200, { "content-type": "text/html" });
    response.end(`<!doctype html>${isFrame ? "" : frame}`);
    return;
  }
  response.setHeader("access-control-allow-origin", "*");
  response.setHeader("access-control-allow-headers", "content-type, idempotency-key");
  response.setHeader("access-control-expose-headers", EXPOSED_HEADERS.join());
  if (request.method === "OPTIONS") {
    response.writeHead(204).end();
    return;
  }
  const key = String(request.headers["idempotency-key"]);
  seen.push(key);
  effects.add(key);
  if (seen.length === 1) response.destroy();
  else response.writeHead(201, { "idempotency-key": key }).end();
});

let chromium: TestBrowser;
let script = "";
let origin = "";
beforeAll(async () => {
  chromium = await launchBrowser();
  const code = 'export { createClient, webStorage } from "@oncekey/client"';
  script = (await bundle(code, "iife")).code;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  await chromium.close();
  server.close();
});

/** The name of the error with which the frame is refused, or what it got instead. */
const refusal = (use: string): string =>
  `Promise.resolve().then(() => ${use}).then((value) => typeof value, ({ name }) => name)`;

const PAY = (): string => `(async () => {
  const warnings = [];
  const shop = bundle.createClient({
    ky: { prefix: "${origin}" },
    storage: bundle.webStorage(),
    backoff: { baseMs: 1 },
    onWarning: ({ code }) => warnings.push(code),
  });
  const order = shop.operation("order", { request: () => ({ path: "orders", json: { cart: 1 } }) });
  const atStart = await shop.pending();
  const [one, two] = await Promise.all([order.run(), order.run()]);
  const next = await order.run();
  return { atStart, results: [one, two, next], left: await shop.pending(), warnings };
})()`;

interface Told {
  readonly atStart: readonly unknown[];
  readonly results: readonly { readonly kind: string; readonly key: string }[];
  readonly left: readonly unknown[];
  readonly warnings: readonly string[];
}

test("in a sandboxed frame without an origin, two clicks and a lost reply have one key and one effect, and a warning", async () => {
  const tab = await chromium.browser.newPage();
  const errors: Error[] = [];
  tab.on("pageerror", (error) => errors.push(error));
  await tab.goto(origin);
  const frame = tab.frames().find((one) => one.url().endsWith("/frame")) as Frame;
  await frame.addScriptTag({ content: script });
  expect(await frame.evaluate<string>(refusal("localStorage"))).toBe("SecurityError");
  expect(await frame.evaluate<string>(refusal("navigator.locks.query()"))).toBe("SecurityError");
  const { atStart, results, left, warnings } = await frame.evaluate<Told>(PAY());
  expect(results.map(({ kind }) => kind)).toEqual(["done", "done", "done"]);
  const [first, second, next] = results.map(({ key }) => key);
  expect([second, seen]).toEqual([first, [first, first, next]]);
  expect(effects, "and the next click is another order").toEqual(new Set([first, next]));
  expect([atStart, left, errors]).toEqual([[], [], []]);
  expect(warnings).toContain("storage_failed");
  await tab.close();
});

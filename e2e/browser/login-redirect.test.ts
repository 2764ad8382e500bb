import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchBrowser } from "@oncekey/test-support/browser/browser";
import type { TestBrowser } from "@oncekey/test-support/browser/browser";
import { bundle } from "@oncekey/test-support/browser/bundle";

/** Whether the session is over: every path then leads to a login page. */
let isSignedOut = false;
const keys: string[] = [];
const effects = new Set<string>();

/** A shop behind a session, as frameworks for web sites have it: an API call without one is redirected to a page. */
const server = http.createServer((request, response) => {
  const key = request.headers["idempotency-key"];
  if (key !== undefined) keys.push(String(key));
  if (request.method === "GET") {
    response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><h1>Log in</h1>");
    return;
  }
  if (isSignedOut) {
    response.writeHead(302, { location: "/login" }).end();
    return;
  }
  effects.add(String(key));
  response.writeHead(201, { "content-type": "application/json", "idempotency-key": String(key) });
  response.end('{"id":1}');
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

const PAY = `(async () => {
  const shop = bundle.createClient({
    ky: { prefix: "/api" }, storage: bundle.webStorage(), onWarning: () => undefined,
  });
  const order = shop.operation("order", {
    request: () => ({ path: "orders", json: { cart: 1 } }), instance: () => "cart",
  });
  const { kind, key, error } = await order.run();
  return { kind, key, code: error?.code };
})()`;

interface Told {
  readonly kind: string;
  readonly key: string;
  readonly code?: string;
}

test("a login page is no receipt: the key is kept through the login and a reload, and there is one order", async () => {
  isSignedOut = true;
  const tab = await chromium.browser.newPage();
  await tab.goto(origin);
  await tab.addScriptTag({ content: script });
  const first = await tab.evaluate<Told>(PAY);
  expect(first).toMatchObject({ kind: "unknown", code: "unexpected_answer" });
  isSignedOut = false;
  await tab.reload();
  await tab.addScriptTag({ content: script });
  expect(await tab.evaluate<Told>(PAY)).toMatchObject({ kind: "done", key: first.key });
  expect([new Set(keys).size, effects.size]).toEqual([1, 1]);
  await tab.close();
});

import http from "node:http";
import type { AddressInfo } from "node:net";
import { EXPOSED_HEADERS } from "@oncekey/server";
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { launchBrowser } from "@oncekey/test-support/browser/browser";
import type { TestBrowser } from "@oncekey/test-support/browser/browser";
import { bundle } from "@oncekey/test-support/browser/bundle";

interface Told {
  readonly kind: string;
  readonly attempts: number;
  readonly warnings: readonly string[];
}

const ORDER = '{"lines":["apple"]}';

/** Each request: its key, its body, and whether its caller was still there when the answer came. */
const seen: { readonly key: string; body: string; isHeard?: boolean }[] = [];
let exposed = "";
let answer: (response: http.ServerResponse, key: string) => void;

const page = http.createServer((_request, response) => {
  response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html>");
});
const api = http.createServer((request, response) => {
  response.setHeader("access-control-allow-origin", "*");
  response.setHeader("access-control-allow-headers", "content-type, idempotency-key");
  response.setHeader("access-control-expose-headers", exposed);
  if (request.method === "OPTIONS") {
    response.writeHead(204).end();
    return;
  }
  const one = { key: String(request.headers["idempotency-key"]), body: "" };
  request.setEncoding("utf8").on("data", (chunk: string) => (one.body += chunk));
  request.on("end", () => {
    seen.push(one);
    response.on("close", () => Object.assign(one, { isHeard: response.writableFinished }));
    answer(response, one.key);
  });
});

const listen = (server: http.Server): Promise<string> =>
  new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    });
  });

let chromium: TestBrowser;
let script = "";
let pageOrigin = "";
let apiOrigin = "";
beforeAll(async () => {
  chromium = await launchBrowser();
  script = (await bundle('export { createClient } from "@oncekey/client"', "iife")).code;
  [pageOrigin, apiOrigin] = [await listen(page), await listen(api)];
});
afterEach(() => (seen.length = 0));
afterAll(async () => {
  await chromium.close();
  page.close();
  api.close();
});

async function open(): Promise<Page> {
  const tab = await chromium.browser.newPage();
  await tab.goto(pageOrigin);
  await tab.addScriptTag({ content: script });
  return tab;
}

const pay = (options: object = {}): string => `(async () => {
  const warnings = [];
  const shop = bundle.createClient({
    ky: { prefix: "${apiOrigin}" }, onWarning: ({ code }) => warnings.push(code), backoff: { baseMs: 1 },
    ...${JSON.stringify(options)},
  });
  const order = shop.operation("order", { request: () => ({ path: "orders", json: ${ORDER} }) });
  const { kind, attempts } = await order.run();
  return { kind, attempts, warnings };
})()`;

function busyTwice(response: http.ServerResponse, key: string): void {
  response.setHeader("idempotency-key", key).setHeader("content-type", "application/json");
  if (seen.length > 2) {
    response.writeHead(201).end("{}");
    return;
  }
  response.writeHead(503, { "retry-after": "1" });
  response.end('{"code":"idempotency_unavailable","detail":"busy","retryable":true}');
}

test.each([
  ["nothing is exposed, which is said once", "", ["retry_after_unreadable", "unacknowledged"]],
  ["everything is exposed that the contract has", EXPOSED_HEADERS.join(), []],
])("an API on another origin where %s: one key", async (_name, headers, warnings) => {
  exposed = headers;
  answer = busyTwice;
  const tab = await open();
  expect(await tab.evaluate<Told>(pay())).toEqual({ kind: "done", attempts: 3, warnings });
  expect(seen.map(({ key, body }) => [key, body])).toEqual(
    Array.from({ length: 3 }, () => [seen[0]?.key, ORDER]),
  );
  await tab.close();
});

test.each([
  [true, "finished by the browser"],
  [false, "broken off"],
])("a request under way as its page goes away, with keepalive %s, is %s", async (keepalive) => {
  const held = Promise.withResolvers<() => void>();
  answer = (response) => held.resolve(() => void response.writeHead(201).end("{}"));
  const tab = await open();
  void tab.evaluate(pay({ keepalive })).catch(() => undefined);
  const reply = await held.promise;
  await tab.goto(`${pageOrigin}/next`);
  if (keepalive) reply();
  await expect.poll(() => seen[0]?.isHeard).toBe(keepalive);
  await tab.close();
});

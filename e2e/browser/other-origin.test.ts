import type { ServerResponse } from "node:http";
import { EXPOSED_HEADERS } from "@oncekey/server";
import { afterEach, expect, test } from "vitest";
import { withClientPage } from "./with-client-page.ts";

interface Told {
  readonly kind: string;
  readonly attempts: number;
  readonly warnings: readonly string[];
}

const ORDER = '{"lines":["apple"]}';

/** Each request: its key, its body, and whether its caller was still there when the answer came. */
const seen: { readonly key: string; body: string; isHeard?: boolean }[] = [];
let exposed = "";
let answer: (response: ServerResponse, key: string) => void;

const shop = withClientPage({
  exports: "createClient",
  exposed: () => exposed,
  answer(request, response, key) {
    const one = { key, body: "" };
    request.setEncoding("utf8").on("data", (chunk: string) => (one.body += chunk));
    request.on("end", () => {
      seen.push(one);
      response.on("close", () => Object.assign(one, { isHeard: response.writableFinished }));
      answer(response, key);
    });
  },
});

afterEach(() => (seen.length = 0));

const pay = (options: object = {}): string => `(async () => {
  const warnings = [];
  const shop = bundle.createClient({
    ky: { prefix: "${shop.otherOrigin}" }, onWarning: ({ code }) => warnings.push(code), backoff: { baseMs: 1 },
    ...${JSON.stringify(options)},
  });
  const order = shop.operation("order", { request: () => ({ path: "orders", json: ${ORDER} }) });
  const { kind, attempts } = await order.run();
  return { kind, attempts, warnings };
})()`;

function busyTwice(response: ServerResponse, key: string): void {
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
  const tab = await shop.open();
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
  const tab = await shop.open();
  void tab.evaluate(pay({ keepalive })).catch(() => undefined);
  const reply = await held.promise;
  await tab.goto(`${shop.origin}/next`);
  if (keepalive) reply();
  await expect.poll(() => seen[0]?.isHeard).toBe(keepalive);
  await tab.close();
});

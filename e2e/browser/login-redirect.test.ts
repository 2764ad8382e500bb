import { expect, test } from "vitest";
import { withClientPage } from "./with-client-page.ts";

/** Whether the session is over: every path then leads to a login page. */
let isSignedOut = false;
const keys: string[] = [];
const effects = new Set<string>();

/** A shop behind a session, as frameworks for web sites have it: an API call without one is redirected to a page. */
const shop = withClientPage({
  exports: "createClient, webStorage",
  page: () => "<!doctype html><h1>Log in</h1>",
  answer(_request, response, key) {
    keys.push(key);
    if (isSignedOut) {
      response.writeHead(302, { location: "/login" }).end();
      return;
    }
    effects.add(key);
    response.writeHead(201, { "content-type": "application/json", "idempotency-key": key });
    response.end('{"id":1}');
  },
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
  const tab = await shop.open();
  const first = await tab.evaluate<Told>(PAY);
  expect(first).toMatchObject({ kind: "unknown", code: "unexpected_answer" });
  isSignedOut = false;
  await tab.reload();
  await tab.addScriptTag({ content: shop.script });
  expect(await tab.evaluate<Told>(PAY)).toMatchObject({ kind: "done", key: first.key });
  expect([new Set(keys).size, effects.size]).toEqual([1, 1]);
  await tab.close();
});

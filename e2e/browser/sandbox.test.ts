import { EXPOSED_HEADERS } from "@oncekey/server";
import type { Frame } from "playwright-core";
import { expect, test } from "vitest";
import { withClientPage } from "./with-client-page.ts";

/** The key of each request; the effects by key. */
const seen: string[] = [];
const effects = new Set<string>();

const FRAME = '<iframe sandbox="allow-scripts" src="/frame"></iframe>';

/** A page with a frame that has no origin, and an API that loses its first answer. */
const shop = withClientPage({
  exports: "createClient, webStorage",
  page: (path) => `<!doctype html>${path === "/frame" ? "" : FRAME}`,
  exposed: () => EXPOSED_HEADERS.join(),
  answer(_request, response, key) {
    seen.push(key);
    effects.add(key);
    if (seen.length === 1) response.destroy();
    else response.writeHead(201, { "idempotency-key": key }).end();
  },
});

/** The name of the error with which the frame is refused, or what it got instead. */
const refusal = (use: string): string =>
  `Promise.resolve().then(() => ${use}).then((value) => typeof value, ({ name }) => name)`;

const PAY = (): string => `(async () => {
  const warnings = [];
  const shop = bundle.createClient({
    ky: { prefix: "${shop.origin}" },
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
  const tab = await shop.openEmpty();
  const errors: Error[] = [];
  tab.on("pageerror", (error) => errors.push(error));
  const frame = tab.frames().find((one) => one.url().endsWith("/frame")) as Frame;
  await frame.addScriptTag({ content: shop.script });
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

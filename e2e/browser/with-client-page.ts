/** For browser tests: a page with the client as one script, and an API whose answers the test chooses. */
import http from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Page } from "playwright-core";
import { afterAll, beforeAll } from "vitest";
import { launchBrowser } from "@oncekey/test-support/browser/browser";
import type { TestBrowser } from "@oncekey/test-support/browser/browser";
import { bundle } from "@oncekey/test-support/browser/bundle";

export interface ClientPageOptions {
  /** The exports of `@oncekey/client` that the script has in its variable `bundle`. */
  readonly exports: string;
  /** Answers each request of the client. */
  readonly answer: (request: IncomingMessage, response: ServerResponse, key: string) => void;
  /** The headers that the API exposes to other origins. Default: no other origin may call it. */
  readonly exposed?: () => string;
  /** The HTML of a path. Default: an empty page. */
  readonly page?: (path: string) => string;
}

export interface ClientPage {
  /** `http://127.0.0.1:PORT`, which serves the page and the API. */
  readonly origin: string;
  /** Another origin with the same API. */
  readonly otherOrigin: string;
  readonly script: string;
  /** Opens a new tab without the script. */
  readonly openEmpty: () => Promise<Page>;
  /** Opens a new tab with the script. */
  readonly open: () => Promise<Page>;
}

/** Starts them before the tests of the file that calls it. Read the result only in tests. */
export function withClientPage(options: ClientPageOptions): ClientPage {
  const own = createApi(options);
  const other = createApi(options);
  let chromium: TestBrowser | undefined;
  let script = "";
  beforeAll(async () => {
    const code = `export { ${options.exports} } from "@oncekey/client"`;
    const listening = [own, other].map(
      (server) => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve)),
    );
    [chromium, { code: script }] = await Promise.all([
      launchBrowser(),
      bundle(code, "iife"),
      ...listening,
    ]);
  });
  afterAll(async () => {
    await chromium?.close();
    for (const server of [own, other]) server.close();
  });
  async function openEmpty(): Promise<Page> {
    if (chromium === undefined) throw new Error("the browser is not open before the tests run");
    const tab = await chromium.browser.newPage();
    await tab.goto(originOf(own));
    return tab;
  }
  return {
    get origin() {
      return originOf(own);
    },
    get otherOrigin() {
      return originOf(other);
    },
    get script() {
      return script;
    },
    openEmpty,
    async open() {
      const tab = await openEmpty();
      await tab.addScriptTag({ content: script });
      return tab;
    },
  };
}

function originOf(server: http.Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function createApi({ answer, exposed, page }: ClientPageOptions): http.Server {
  return http.createServer((request, response) => {
    if (request.method === "GET") {
      const html = page?.(request.url ?? "/") ?? "<!doctype html>";
      response.writeHead(200, { "content-type": "text/html" }).end(html);
      return;
    }
    if (exposed !== undefined) {
      response.setHeader("access-control-allow-origin", "*");
      response.setHeader("access-control-allow-headers", "content-type, idempotency-key");
      response.setHeader("access-control-expose-headers", exposed());
    }
    if (request.method === "OPTIONS") response.writeHead(204).end();
    else answer(request, response, String(request.headers["idempotency-key"]));
  });
}

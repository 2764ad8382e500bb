/** The README, as a stranger uses it: both examples run as pasted, the client in Node and in Chromium. */
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { stripTypeScriptTypes } from "node:module";
import { launchBrowser } from "@oncekey/test-support/browser/browser";
import { bundle } from "@oncekey/test-support/browser/bundle";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { freePort } from "@oncekey/test-support/processes/free-port";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { blocksOf, paste } from "./pasted.ts";
import type { PastedFolder } from "./pasted.ts";

const readme = await readFile(new URL("../../README.md", import.meta.url), "utf8");
const guide = await readFile(new URL("../../docs/guides/plugin.md", import.meta.url), "utf8");
const [server = "", client = ""] = blocksOf(readme);
const cors = blocksOf(guide).find((code) => code.includes("@fastify/cors")) ?? "";

describe("README", () => {
  it("has at most 120 lines", () => {
    expect(readme.trimEnd().split("\n").length).toBeLessThanOrEqual(120);
  });

  it.each([
    ["server", server],
    ["client", client],
  ])("has a %s of 15 to 25 lines", (_name, code) => {
    const lines = code.trim().split("\n").length;
    expect(lines).toBeGreaterThanOrEqual(15);
    expect(lines).toBeLessThanOrEqual(25);
  });
});

describe("the examples of the README as pasted", () => {
  const database = withDatabase({ from: "empty" });
  let folder: PastedFolder;
  let port = 0;
  const onPort = (code: string): string => code.replaceAll("3000", String(port));
  const countOrders = async (): Promise<number> => {
    const { rows } = await database
      .pool({ max: 1 })
      .query<{ orders: number }>("select count(*)::int as orders from orders");
    return rows[0]?.orders ?? 0;
  };

  beforeAll(async () => {
    port = await freePort();
    folder = await paste({ "server.mts": onPort(server), "client.mts": onPort(client) });
    await folder.serve("server.mts", port, { DATABASE_URL: database.url });
  });
  afterAll(() => folder.remove());

  it("place one order from Node", async () => {
    expect(await folder.run("client.mts")).toMatch(/^ordered { id: \d+ } false\n$/);
    expect(await countOrders()).toBe(1);
  });

  it("place one order from a page that is loaded twice, and replay it to the second", async () => {
    const before = await countOrders();
    const chromium = await launchBrowser();
    onTestFinished(chromium.close);
    const page = await chromium.browser.newPage();
    const { code } = await bundle(stripTypeScriptTypes(onPort(client)));
    const html = `<!doctype html><script type="module">${code}</script>`;
    await page.route("**/shop", (route) => route.fulfill({ contentType: "text/html", body: html }));
    for (const replayed of [false, true]) {
      const settled = page.waitForEvent("console");
      await page.goto(`http://localhost:${port}/shop`);
      const values = await Promise.all((await settled).args().map((value) => value.jsonValue()));
      expect(values).toEqual(["ordered", { id: expect.any(Number) }, replayed]);
    }
    expect(await countOrders()).toBe(before + 1);
  });
});

describe("the CORS lines of the guide", () => {
  it("let a page send its key and its token with PATCH, and read every header of the contract", async () => {
    const [port, pagePort] = [await freePort(), await freePort()];
    const origin = `http://localhost:${pagePort}`;
    const folder = await paste({
      "server.mts": `${cors.replace("https://shop.example", origin)}
        app.patch("/orders", async (request, reply) => {
          for (const name of EXPOSED_HEADERS) if (name !== "Date") reply.header(name, "1");
          return reply.header("idempotency-key", request.headers["idempotency-key"]).send({});
        });
        await app.listen({ port: ${port} });`,
    });
    onTestFinished(folder.remove);
    await folder.serve("server.mts", port);
    const chromium = await launchBrowser();
    onTestFinished(chromium.close);
    const page = await chromium.browser.newPage();
    // Chromium refuses calls to this machine from a page that a route of Playwright serves.
    const pages = createServer((_request, response) => response.end()).listen(pagePort);
    onTestFinished(() => void pages.close());
    await page.goto(`${origin}/`);
    const names = await page.evaluate(async (url) => {
      const headers = {
        authorization: "Bearer token",
        "content-type": "application/json",
        "idempotency-key": "key-1",
        "idempotency-only-if-stored": "true",
      };
      const answer = await fetch(url, { method: "PATCH", headers, body: "{}" });
      return [...answer.headers.keys()];
    }, `http://localhost:${port}/orders`);
    const contract = ["idempotency-key", "idempotent-replayed", "idempotency-mismatch"];
    const others = ["idempotency-key-lifetime", "retry-after", "cache-control", "date"];
    expect(names).toEqual(expect.arrayContaining([...contract, ...others]));
  });
});

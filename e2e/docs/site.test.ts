/** The documentation site: built once, checked as files and opened in Chromium. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { promisify } from "node:util";
import { launchBrowser } from "@oncekey/test-support/browser/browser";
import type { TestBrowser } from "@oncekey/test-support/browser/browser";
import { byDepth } from "@oncekey/test-support/lanes/depth";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { checkSite } from "../../site/check-site.ts";
import { findViolations } from "../browser/axe.ts";

const ROOT = join(import.meta.dirname, "../..");
const SITE = join(ROOT, "site/dist");
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".png": "image/png",
};

/** The start and a guide; in test:deep also a story with output, wide and generated tables, a runbook and a decision. */
const AXE_PAGES = [
  "index.html",
  "guides/lease.html",
  ...byDepth(
    [],
    [
      "story.html",
      "reports/fault-matrix.html",
      "reference/server.html",
      "runbook/idempotency_in_flight.html",
      "decisions/0009-encryption-is-a-row-codec.html",
    ],
  ),
];

/** Ends only what hangs. */
const BUILD_MS = 300_000;

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url ?? "/", "http://site");
  const path = pathname.endsWith("/") ? `${pathname}index.html` : pathname;
  readFile(join(SITE, path)).then(
    (content) =>
      response
        .writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" })
        .end(content),
    () => response.writeHead(404).end(),
  );
});
let chromium: TestBrowser | undefined;
let origin = "";

beforeAll(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  [chromium] = await Promise.all([
    launchBrowser(),
    // Fails if the build or one of its checks does.
    promisify(execFile)(process.execPath, [join(ROOT, "site/build.ts")]),
  ]);
}, BUILD_MS);
afterAll(async () => {
  await chromium?.close();
  server.close();
});

describe("the site", () => {
  it("has a Markdown file beside each page, and llms.txt lists all of them", async () => {
    const index = await readFile(join(SITE, "llms.txt"), "utf8");
    const files = [...index.matchAll(/\]\((\/[^)]+)\)/g)].map(([, path = ""]) => path);
    expect(files.length).toBeGreaterThan(30);
    const missing = files.filter(
      (file) =>
        !existsSync(join(SITE, file)) || !existsSync(join(SITE, file.replace(/\.md$/, ".html"))),
    );
    expect(missing).toEqual([]);
    expect(await readFile(join(SITE, "guides/lease.md"), "utf8")).toMatch(/^# Charge, then write/);
  });

  it.each([
    ["light", "desktop"],
    ["dark", "desktop"],
    ["light", "phone"],
    ["dark", "phone"],
  ] as const)("passes axe, loads nothing from elsewhere: %s, %s", async (colorScheme, device) => {
    const viewport =
      device === "phone" ? { width: 390, height: 844 } : { width: 1280, height: 800 };
    const context = await chromium?.browser.newContext({ colorScheme, viewport });
    const page = await context?.newPage();
    if (context === undefined || page === undefined) throw new Error("no browser");
    onTestFinished(() => context.close());
    const elsewhere: string[] = [];
    page.on("request", (request) => {
      if (!request.url().startsWith(origin)) elsewhere.push(request.url());
    });
    for (const path of AXE_PAGES) {
      await page.goto(`${origin}/${path}`);
      expect(await findViolations(page), path).toEqual([]);
    }
    expect(elsewhere).toEqual([]);
  });

  it("finds a page by a word in its text", async () => {
    const page = await chromium?.browser.newPage();
    if (page === undefined) throw new Error("no browser");
    onTestFinished(() => page.close());
    await page.goto(`${origin}/`);
    // The page listens to keys only after its scripts have run.
    const opened = async (): Promise<boolean> => {
      await page.keyboard.press("Control+k");
      return page.getByRole("searchbox").isVisible();
    };
    await expect.poll(opened).toBe(true);
    await page.getByRole("searchbox").fill("deriveKey");
    await page.getByRole("listbox").getByRole("option").first().click();
    await page.waitForURL(/\.html/);
  });
});

describe("the check of a built site", () => {
  it("reports a dead link, a missing anchor and a script from elsewhere", async () => {
    const folder = await mkdtemp(join(tmpdir(), "site-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    await mkdir(join(folder, "guides"));
    const page =
      '<h1 id="here">x</h1><a href="#here">1</a><a href="/index.html#there">2</a><a href="b.html">3</a><script src="https://cdn.example/x.js"></script>';
    await writeFile(join(folder, "guides/a.html"), page);
    await writeFile(join(folder, "index.html"), '<a href="/guides/a.html#here">4</a>');
    expect((await checkSite(folder)).toSorted()).toEqual([
      "/guides/a.html: /index.html#there has no such anchor",
      "/guides/a.html: b.html leads nowhere",
      "/guides/a.html: loads https://cdn.example/x.js from elsewhere",
    ]);
  });
});

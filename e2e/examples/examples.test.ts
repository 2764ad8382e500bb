/** The small examples as they stand: a checkout in Chromium before the shop of Fastify, and a payment under a lease. */
import { execFile } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm, symlink } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { launchBrowser } from "@oncekey/test-support/browser/browser";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { freePort } from "@oncekey/test-support/processes/free-port";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { buildFiles } from "../shop/page-files.ts";
import { paste } from "../docs/pasted.ts";
import type { PastedFolder } from "../docs/pasted.ts";

const EXAMPLES = join(import.meta.dirname, "../../examples");
const TWINS = join(import.meta.dirname, "twins");
const database = withDatabase({ from: "empty" });
const folders: PastedFolder[] = [];
afterAll(async () => {
  for (const folder of folders) await folder.remove();
});

/** Starts the server in a folder and returns its address. */
async function start(source: string, environment: NodeJS.ProcessEnv = {}): Promise<string> {
  const code = await readFile(join(source, "server.ts"), "utf8");
  const folder = await paste({ "server.ts": code, "package.json": '{"type":"module"}' });
  folders.push(folder);
  const port = await freePort();
  await folder.serve("server.ts", port, {
    ...environment,
    DATABASE_URL: database.url,
    PORT: String(port),
  });
  return `http://localhost:${port}`;
}

/** Copies the unprotected twins and protects the copy by the skills of both packages. */
async function protectBySkill(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "by-skill-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  for (const name of ["checkout.tsx", "index.html", "server.ts"])
    await cp(join(TWINS, name), join(folder, name));
  await symlink(join(import.meta.dirname, "../node_modules"), join(folder, "node_modules"));
  await promisify(execFile)("git", ["apply", join(TWINS, "by-skill.patch")], { cwd: folder });
  return folder;
}

async function count(table: string): Promise<number> {
  const pool = database.pool({ max: 1 });
  const { rows } = await pool.query<{ rows: number }>(`select count(*)::int as rows from ${table}`);
  return rows[0]?.rows ?? 0;
}

it.each(["fastify-postgres", "react-checkout", "lease-payment"])(
  "%s has at most 60 lines",
  async (example) => {
    const names = await readdir(join(EXAMPLES, example), { withFileTypes: true });
    const files = names.filter((one) => one.isFile());
    const texts = await Promise.all(
      files.map(({ name }) => readFile(join(EXAMPLES, example, name), "utf8")),
    );
    expect(texts.join("").split("\n").length - 1).toBeLessThanOrEqual(60);
  },
);

/** Builds the page in a folder and opens it as a page of the shop. */
async function openPage(source: string, shop: string): Promise<Page> {
  const built = await buildFiles(source, { index: "index.html" });
  const chromium = await launchBrowser();
  onTestFinished(chromium.close);
  const page = await chromium.browser.newPage();
  await page.route(`${shop}/*`, (route) => {
    const file = built.get(new URL(route.request().url()).pathname);
    if (file === undefined) return route.fulfill({ status: 404 });
    const body = typeof file.content === "string" ? file.content : Buffer.from(file.content);
    return route.fulfill({ contentType: file.type, body });
  });
  await page.goto(`${shop}/`);
  return page;
}

/** Presses Pay, loses the reply of the server, and loads the page again. */
async function loseTheReply(page: Page, shop: string): Promise<void> {
  const lost = Promise.withResolvers<void>();
  let attempts = 0;
  await page.route(`${shop}/api/orders`, async (route) => {
    attempts += 1;
    // The page is gone before an answer to its retries.
    if (attempts > 1) return;
    await route.fetch();
    await route.abort();
    lost.resolve();
  });
  await page.getByRole("button", { name: "Pay" }).click();
  await lost.promise;
  await page.goto("about:blank");
  await page.unroute(`${shop}/api/orders`);
  await page.goto(`${shop}/`);
}

describe("the React checkout before the shop of Fastify", () => {
  beforeEach(async () => {
    await database.pool({ max: 1 }).query("drop table if exists orders");
  });

  it("places one order although the reply is lost and the page is loaded again", async () => {
    const shop = await start(join(EXAMPLES, "fastify-postgres"));
    const page = await openPage(join(EXAMPLES, "react-checkout"), shop);
    await loseTheReply(page, shop);
    await page.getByText(/Order \d+ is placed/).waitFor();
    expect(await count("orders")).toBe(1);
  });

  it("places two orders in the same story without Oncekey", async () => {
    const shop = await start(TWINS);
    const page = await openPage(TWINS, shop);
    await loseTheReply(page, shop);
    await page.getByRole("button", { name: "Pay" }).click();
    await page.getByText(/Order \d+ is placed/).waitFor();
    expect(await count("orders")).toBe(2);
  });

  it("places one order if the skills of both packages were followed literally", async () => {
    const folder = await protectBySkill();
    const shop = await start(folder);
    const page = await openPage(folder, shop);
    await loseTheReply(page, shop);
    await page.getByText(/Order \d+ is placed/).waitFor();
    expect(await count("orders")).toBe(1);
  });

  it("refuses a caller who has not signed in, before any key is spent", async () => {
    const shop = await start(join(EXAMPLES, "fastify-postgres"));
    const answer = await fetch(`${shop}/api/orders`, {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": "key-1" },
      body: '{"lines":["apple"]}',
    });
    expect(answer.status).toBe(401);
    expect(answer.headers.get("idempotency-key")).toBeNull();
  });
});

describe("the payment under a lease", () => {
  const charges = new Map<string, string>();
  let calls = 0;
  const provider = createServer((request, response) => {
    calls += 1;
    const key = String(request.headers["idempotency-key"]);
    const id = charges.get(key) ?? `ch_${charges.size + 1}`;
    charges.set(key, id);
    response.setHeader("content-type", "application/json").end(JSON.stringify({ id }));
  });
  let url = "";
  beforeAll(async () => {
    await new Promise<void>((resolve) => provider.listen(0, "localhost", resolve));
    const { port } = provider.address() as AddressInfo;
    url = await start(join(EXAMPLES, "lease-payment"), {
      PROVIDER_URL: `http://localhost:${port}`,
    });
  });
  afterAll(() => void provider.close());

  it("charges and writes once for two requests with one key", async () => {
    const pay = () =>
      fetch(`${url}/orders/o-1/payment`, {
        method: "POST",
        headers: { "idempotency-key": "key-1" },
      });
    const answers = [await pay(), await pay()];
    expect(answers.map(({ status }) => status)).toEqual([201, 201]);
    expect(answers[1]?.headers.get("idempotent-replayed")).toBe("true");
    expect([calls, charges.size, await count("payments")]).toEqual([1, 1, 1]);
  });
});

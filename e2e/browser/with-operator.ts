/** The operator's page over a real database, with records in every state, in a real Chromium. */
import { operator } from "@oncekey/server/operator";
import { idempotency, migrate } from "@oncekey/server";
import { launchBrowser } from "@oncekey/test-support/browser/browser";
import type { TestBrowser } from "@oncekey/test-support/browser/browser";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import type pg from "pg";
import type { BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll } from "vitest";

export interface OperatorDesk {
  readonly page: Page;
  readonly pool: pg.Pool;
  readonly url: string;
  /** Lines of the application's log. */
  readonly logged: readonly string[];
  /** Errors that the browser reported: of scripts, and refusals by the content security policy. */
  readonly reported: readonly string[];
}

const CRASHED_MS = 40 * 60_000;

/** Returns a function that opens the page; everything is closed after each test. */
export function withOperator(): (options?: BrowserContextOptions) => Promise<OperatorDesk> {
  const database = withDatabase();
  let tested: TestBrowser;
  const apps: FastifyInstance[] = [];
  beforeAll(async () => {
    tested = await launchBrowser();
    await migrate(database.pool());
  });
  afterEach(async () => {
    for (const context of tested.browser.contexts()) await context.close();
    for (const app of apps.splice(0)) await app.close();
  });
  afterAll(() => tested.close());

  return async (options = {}) => {
    const pool = database.pool();
    await pool.query("truncate oncekey.records");
    await addRecords(pool);
    const logged: string[] = [];
    const app = Fastify({
      forceCloseConnections: true,
      logger: { stream: { write: (line: string) => void logged.push(line) } },
    });
    apps.push(app);
    await app.register(idempotency, { pool, scope: "single-tenant", sweep: false });
    await app.register(operator, {
      prefix: "/ops/keys",
      authenticate: (_request, _reply, done) => done(),
      by: () => "Ada",
    });
    app.post("/orders", { config: { idempotency: true } }, async () => ({ ordered: true }));
    const url = await app.listen({ host: "127.0.0.1", port: 0 });
    for (let sent = 0; sent < 4; sent += 1)
      await fetch(`${url}/orders`, { method: "POST", headers: { "idempotency-key": "hot-order" } });
    const context = await tested.browser.newContext(options);
    const page = await context.newPage();
    const reported: string[] = [];
    page.on("pageerror", (error) => reported.push(error.message));
    page.on("console", (message) => {
      if (message.type() === "error") reported.push(message.text());
    });
    await page.goto(`${url}/ops/keys/`);
    return { page, pool, url, logged, reported };
  };
}

/** Writes records as leases and handlers leave them. */
async function addRecords(pool: pg.Pool): Promise<void> {
  const insert = `insert into oncekey.records
    (key, scope, target, fingerprint, status, headers, body, owner, lease_until, attempt, created_at, expires_at)
    values ($1, $2, $3, '\\x00', $4, $5, $6, $7, now() + $8 * interval '1 ms', $9, now() + $10 * interval '1 ms', now() + interval '1 day')`;
  const owner = "0190163d-8694-739b-aea5-966c26f8ad91";
  const rows: unknown[][] = [
    [
      "crashed-charge",
      "shop-7",
      "POST /charges",
      null,
      null,
      null,
      owner,
      -CRASHED_MS,
      2,
      -CRASHED_MS - 30_000,
    ],
    ["<b>bold</b>\"'&", "shop-8", "POST /charges", null, null, null, owner, -60_000, 1, -90_000],
    ["running-report", "shop-7", "POST /reports", null, null, null, owner, 600_000, 1, -400_000],
    [
      "finished-order",
      "shop-7",
      "POST /orders",
      201,
      '[["content-type","application/json"],["location","/orders/7"]]',
      "{}",
      null,
      null,
      1,
      -7_200_000,
    ],
  ];
  for (const row of rows) await pool.query(insert, row);
}

import { execFile } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { CRASH_POINTS, testCrashes } from "@oncekey/server/testing";
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { byDepth } from "@oncekey/test-support/lanes/depth";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import {
  commandOf,
  CREDIT_CENTS,
  HEADERS,
  PRICE_CENTS,
  readState,
  SKU,
  STOCK,
  stockShop,
  withSampleApp,
} from "./repositories-app.ts";

const SAMPLE = fileURLToPath(new URL("../../examples/repositories", import.meta.url));
const PATCH = join(SAMPLE, "oncekey.patch");

const database = withDatabase({ from: "empty" });
let pool: pg.Pool;
let unprotected: string;
beforeAll(async () => {
  pool = database.pool({ max: 2 });
  unprotected = await copyUnprotected();
});
afterAll(() => rm(unprotected, { recursive: true }));

/** Copies the sample and takes the patch back in the copy. */
async function copyUnprotected(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "repositories-"));
  for (const name of ["package.json", "src"])
    await cp(join(SAMPLE, name), join(folder, name), { recursive: true });
  await symlink(join(SAMPLE, "node_modules"), join(folder, "node_modules"));
  await promisify(execFile)("git", ["apply", "--reverse", "-C0", PATCH], { cwd: folder });
  return folder;
}

const shop = () => ({ url: database.url, pool });
const UNTOUCHED = { orders: 0, lines: 0, ledger: 0, credit: CREDIT_CENTS, stock: STOCK };
const order = (quantity: number) => ({ items: [{ sku: SKU, quantity }] });
const ordered = (orders: number, quantity: number) => ({
  orders,
  lines: orders,
  ledger: orders,
  credit: CREDIT_CENTS - orders * quantity * PRICE_CENTS,
  stock: STOCK - orders * quantity,
});

/** More than the customer's credit pays for, and less than the shop has in stock. */
const TOO_DEAR = Math.floor(CREDIT_CENTS / PRICE_CENTS) + 1;

describe("the sample without protection", () => {
  it("places a retried order twice", async () => {
    await withSampleApp(unprotected, shop(), async ({ post }) => {
      const key = crypto.randomUUID();
      await post("/orders", key, order(2));
      const again = await post("/orders", key, order(2));
      expect(again).toMatchObject({ status: 201, isReplayed: false });
      expect(await readState(pool)).toEqual(ordered(2, 2));
    });
  });

  it("keeps the stock and the order of a request that fails after them", async () => {
    await withSampleApp(unprotected, shop(), async ({ post }) => {
      const answer = await post("/orders", crypto.randomUUID(), order(TOO_DEAR));
      expect(answer.status).toBe(402);
      const stock = STOCK - TOO_DEAR;
      expect(await readState(pool)).toEqual({ ...UNTOUCHED, orders: 1, lines: 1, stock });
    });
  });
});

describe("the protected sample", () => {
  it("places an order once, however often and however concurrently it is sent", async () => {
    await withSampleApp(SAMPLE, shop(), async ({ post }) => {
      const key = crypto.randomUUID();
      const first = await post("/orders", key, order(2));
      expect(first).toMatchObject({ status: 201, isReplayed: false });
      const others = await Promise.all(
        Array.from({ length: 8 }, () => post("/orders", key, order(2))),
      );
      for (const other of others) expect(other).toEqual({ ...first, isReplayed: true });
      expect(await readState(pool)).toEqual(ordered(1, 2));

      const { id } = JSON.parse(first.text) as { id: number };
      const cancel = `/orders/${id}/cancel`;
      const cancelling = crypto.randomUUID();
      const cancelled = await post(cancel, cancelling);
      expect(cancelled).toMatchObject({ status: 200, isReplayed: false });
      expect(await post(cancel, cancelling)).toEqual({ ...cancelled, isReplayed: true });
      expect(await readState(pool)).toEqual({ ...UNTOUCHED, orders: 1, lines: 1, ledger: 2 });
    });
  });

  it("keeps nothing of a request that fails, in tables of repositories with transactions of their own too", async () => {
    await withSampleApp(SAMPLE, shop(), async ({ post }) => {
      const key = crypto.randomUUID();
      const failed = await post("/orders", key, order(TOO_DEAR));
      expect(failed.status).toBe(402);
      expect(await readState(pool)).toEqual(UNTOUCHED);
      expect(await post("/orders", key, order(TOO_DEAR))).toEqual({ ...failed, isReplayed: true });

      const toppedUp = { amountCents: TOO_DEAR * PRICE_CENTS };
      expect((await post("/account/top-ups", crypto.randomUUID(), toppedUp)).status).toBe(201);
      const placed = await post("/orders", crypto.randomUUID(), order(TOO_DEAR));
      expect(placed.status).toBe(201);
      const { orders, ledger } = await readState(pool);
      expect({ orders, ledger }).toEqual({ orders: 1, ledger: 2 });
    });
  });

  it("places one order for a key if the server is killed at any point of the request", async () => {
    await withSampleApp(SAMPLE, shop(), async () => {});
    await stockShop(pool);
    const tested = await testCrashes({
      ...commandOf(SAMPLE, database.url),
      request: { path: "/orders", headers: HEADERS, body: order(1) },
      pool,
      // Each point takes seconds.
      points: byDepth(["commit-sent"], CRASH_POINTS),
    });
    expect(tested.map(({ status, effects }) => [status, effects])).toEqual(
      tested.map(() => [201, 1]),
    );
    const { orders } = await readState(pool);
    expect(await readState(pool)).toEqual(ordered(orders, 1));
  }, 180_000);
});

describe("the change that protects the sample", () => {
  it("is at most 15 lines, none of them in a service or a repository", async () => {
    const patch = await readFile(PATCH, "utf8");
    const lines = patch.split("\n");
    const changed = lines.filter((line) => /^[+-](?![+-]{2} )/.test(line));
    const files = lines.filter((line) => line.startsWith("+++ "));
    expect(changed.length).toBeLessThanOrEqual(15);
    expect(files.filter((file) => /services|repositories|jobs/.test(file))).toEqual([]);
    expect(await readGuide()).toContain(`${changed.length} lines in ${files.length} files`);
  });

  it("leaves services and repositories without a word of it", async () => {
    const names = await readdir(join(SAMPLE, "src"), { recursive: true });
    const sources = names.filter((name) => name.endsWith(".ts"));
    expect(sources.length).toBeGreaterThanOrEqual(20);
    expect(await readGuide()).toContain(`back end with ${sources.length} files`);
    const unaware = sources.filter((file) => /^(services|repositories|jobs)\//.test(file));
    expect(unaware.length).toBeGreaterThanOrEqual(10);
    for (const file of unaware) {
      const content = await readFile(join(SAMPLE, "src", file), "utf8");
      expect(content, file).not.toMatch(/oncekey|idempoten|transactional/i);
    }
  });

  async function readGuide(): Promise<string> {
    const guide = await readFile(join(SAMPLE, "../../docs/guides/existing-backend.md"), "utf8");
    return guide.replaceAll(/\s+/g, " ");
  }
});

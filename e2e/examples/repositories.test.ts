import { fileURLToPath } from "node:url";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import {
  CREDIT_CENTS,
  PRICE_CENTS,
  readState,
  SKU,
  STOCK,
  withSampleApp,
} from "./repositories-app.ts";

const SAMPLE = fileURLToPath(new URL("../../examples/repositories", import.meta.url));

const database = withDatabase({ from: "empty" });
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool({ max: 2 });
});

const shop = () => ({ url: database.url, pool });
const UNTOUCHED = { orders: 0, lines: 0, ledger: 0, credit: CREDIT_CENTS, stock: STOCK };
const order = (quantity: number) => ({ items: [{ sku: SKU, quantity }] });
/** More than the customer's credit pays for, and less than the shop has in stock. */
const TOO_DEAR = Math.floor(CREDIT_CENTS / PRICE_CENTS) + 1;

describe("the sample without protection", () => {
  it("places a retried order twice", async () => {
    await withSampleApp(SAMPLE, shop(), async ({ post }) => {
      const key = crypto.randomUUID();
      for (const answer of [
        await post("/orders", key, order(2)),
        await post("/orders", key, order(2)),
      ])
        expect(answer).toMatchObject({ status: 201, isReplayed: false });
      expect(await readState(pool)).toEqual({
        orders: 2,
        lines: 2,
        ledger: 2,
        credit: CREDIT_CENTS - 4 * PRICE_CENTS,
        stock: STOCK - 4,
      });
    });
  });

  it("keeps the stock and the order of a request that fails after them", async () => {
    await withSampleApp(SAMPLE, shop(), async ({ post }) => {
      const answer = await post("/orders", crypto.randomUUID(), order(TOO_DEAR));
      expect(answer.status).toBe(402);
      expect(await readState(pool)).toEqual({
        ...UNTOUCHED,
        orders: 1,
        lines: 1,
        stock: STOCK - TOO_DEAR,
      });
    });
  });
});

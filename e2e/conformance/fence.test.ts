/** The client at a server that remembers a key for longer than its response. */
import { createClient } from "@oncekey/client";
import type { IdempotencyOptions } from "@oncekey/server";
import type { Pool } from "pg";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { STRATEGIES } from "../shop/strategy-shop.ts";
import { withServer } from "./api.ts";

const database = withDatabase();
let pool: Pool;
beforeAll(() => {
  pool = database.pool();
});
beforeEach(() => pool.query("truncate oncekey.records"));

const DAY_S = 86_400;

/** Ends the responses of all records, as their retention does. */
async function endResponses(): Promise<void> {
  await pool.query("update oncekey.records set expires_at = now() where expires_at > now()");
}

describe.each(STRATEGIES)("an order whose response has expired, under %s", (strategy) => {
  it.each([
    [201, false],
    [201, true],
    [402, true],
  ])("is reported by its status %d, and not run again (swept: %o)", async (status, sweeps) => {
    const options: Partial<IdempotencyOptions> = {
      strategy,
      ...(strategy === "lease" ? { lease: { onCrash: "fail" } } : {}),
      sweep: false,
      replayCache: false,
      fenceMs: 30 * DAY_S * 1_000,
    };
    const path = status === 201 ? "orders" : "declined";
    await withServer(pool, options, async (api, app) => {
      const client = createClient({ ky: { prefix: app.listeningOrigin }, server: "oncekey" });
      const order = client.operation("order", {
        request: (lines: readonly string[]) => ({ path, json: { lines } }),
        instance: () => "cart",
        key: () => "the-order",
      });
      const first = await order.run(["apple"]);
      expect(first).toMatchObject({ kind: status === 201 ? "done" : "rejected" });
      await endResponses();
      if (sweeps) await app.idempotency.sweep();
      expect(await order.run(["apple"])).toMatchObject(
        status === 201
          ? { kind: "done", key: first.key, stored: false, value: undefined, status: 201 }
          : {
              kind: "rejected",
              error: { code: "idempotency_response_not_stored", originalStatus: 402 },
            },
      );
      // Another order under its key is marked as such, and the first one keeps its own status.
      const other = await client
        .post(path, { json: { lines: ["pear"] }, key: "the-order" })
        .catch((error: unknown) => error);
      expect(other).toMatchObject({
        code: "idempotency_conflict",
        original: { status, body: undefined, stored: false },
      });
      expect(api.ran()).toBe(1);
    });
  });
});

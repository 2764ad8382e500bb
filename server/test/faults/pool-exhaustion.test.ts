import { describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { addPayments, countPayments, createPayments, withShop } from "../support/shop.ts";

const database = withDatabase();

/** Time for a connection on a machine that is busy with something else as well. */
const PATIENT_MS = 60_000;

describe("a pool of 4", () => {
  it("under 50 keys and 50 duplicates of one at once answers all, with one payment for each key", async () => {
    const pool = database.pool({ max: 4, connectionTimeoutMillis: PATIENT_MS });
    await createPayments(pool);
    await withShop(
      { pool },
      (app) => addPayments(app),
      async ({ post }) => {
        const distinct = Array.from({ length: 50 }, (_, index) =>
          post("/payments", { key: `key-${index}`, json: { amount: index } }),
        );
        const duplicates = Array.from({ length: 50 }, () =>
          post("/payments", { key: "hot", json: { amount: 50 } }),
        );
        const answers = await Promise.all([...distinct, ...duplicates]);
        expect(answers.map(({ status }) => status)).toEqual(Array(100).fill(201));
        expect(new Set(answers.slice(50).map(({ text }) => text)).size).toBe(1);
        expect(await countPayments(pool)).toBe(51);
      },
    );
  });

  it("leaves its last connection to the rest of the application", async () => {
    const pool = database.pool({ max: 4, connectionTimeoutMillis: PATIENT_MS });
    const release = Promise.withResolvers<void>();
    let held = 0;
    await withShop(
      { pool },
      (app) =>
        app.post("/hold", { config: { idempotency: true } }, async () => {
          held += 1;
          await release.promise;
        }),
      async ({ post }) => {
        const holding = Array.from({ length: 5 }, (_, index) =>
          post("/hold", { key: `hold-${index}` }),
        );
        while (held < 3) await pool.query("select 1");
        expect((await pool.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
        expect([held, pool.totalCount]).toEqual([3, 4]);
        release.resolve();
        expect((await Promise.all(holding)).map(({ status }) => status)).toEqual(
          Array(5).fill(200),
        );
      },
    );
  });

  it("that stays full answers 503 with Retry-After when its time is over, and the route goes on after it", async () => {
    const pool = database.pool({ max: 4, connectionTimeoutMillis: PATIENT_MS });
    await withShop(
      { pool },
      (app) => addPayments(app),
      async ({ post }) => {
        const others = await Promise.all(Array.from({ length: 4 }, () => pool.connect()));
        // The pool reads it at each call.
        pool.options.connectionTimeoutMillis = 200;
        const request = { key: "full", json: { amount: 1 } };
        const answers = await Promise.all([
          post("/payments", request),
          post("/payments", { ...request, key: "full-2" }),
        ]);
        for (const answer of answers) {
          expect(answer.status).toBe(503);
          expect(answer.headers.get("retry-after")).toBe("1");
          expect(answer.json()).toMatchObject({
            code: "idempotency_unavailable",
            detail: "No database connection became free in time",
            retryable: true,
          });
        }
        pool.options.connectionTimeoutMillis = PATIENT_MS;
        for (const client of others) client.release();
        expect((await post("/payments", request)).status).toBe(201);
      },
    );
  });
});

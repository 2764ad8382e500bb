/** A key outlives its response: what a caller sees between `retentionMs` and `fenceMs`. */
import type { FastifyInstance } from "fastify";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import type { IdempotencyOptions } from "../../src/index.ts";
import { withShop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

const STRATEGIES = ["advisory", "unique", "row", "lease"] as const;
const HOUR_S = 3_600;
const encryption = { keys: [{ id: "one", secret: "x".repeat(32) }] };

/** A route of each strategy, whose runs are counted. */
function addRoutes(app: FastifyInstance, runs: string[]): void {
  for (const strategy of STRATEGIES) {
    const lease = strategy === "lease" ? { lease: { onCrash: "fail" as const } } : {};
    app.post(
      `/${strategy}`,
      { config: { idempotency: { strategy, ...lease } } },
      async (_request, reply) => {
        runs.push(strategy);
        return reply.code(202).send({ run: runs.length });
      },
    );
  }
}

async function endResponses(): Promise<void> {
  await pool.query("update oncekey.records set expires_at = now() where expires_at > now()");
}

interface Given extends Pick<IdempotencyOptions, "encryption"> {
  readonly sweeps?: boolean;
}

describe("a repeat after retentionMs and before fenceMs", () => {
  const given: [name: string, options: Given][] = [
    ["before the sweep has come by", {}],
    ["after it", { sweeps: true }],
    ["of an encrypted record", { encryption }],
    ["of an encrypted record that was swept", { encryption, sweeps: true }],
  ];
  it.each(given)("gets 410 with the original status, and nothing runs: %s", async (_, options) => {
    const { sweeps = false, ...more } = options;
    await pool.query("truncate oncekey.records");
    const runs: string[] = [];
    await withShop(
      { pool, sweep: false, replayCache: false, fenceMs: 48 * HOUR_S * 1_000, ...more },
      (app) => addRoutes(app, runs),
      async ({ app, post }) => {
        for (const strategy of STRATEGIES) {
          const first = await post(`/${strategy}`, { key: "k", json: { amount: 1 } });
          expect(first.status).toBe(202);
          expect(first.headers.get("idempotency-key-lifetime")).toBe(String(48 * HOUR_S));
        }
        await endResponses();
        if (sweeps) expect(await app.idempotency.sweep()).toEqual({ deleted: 0, buried: 4 });
        for (const strategy of STRATEGIES) {
          const again = await post(`/${strategy}`, { key: "k", json: { amount: 1 } });
          expect(again.status).toBe(410);
          expect(again.headers.get("content-type")).toContain("application/problem+json");
          expect(again.headers.get("idempotency-key")).toBe("k");
          expect(again.headers.get("idempotent-replayed")).toBeNull();
          expect(again.json()).toMatchObject({
            code: "idempotency_response_not_stored",
            detail: expect.stringContaining("the response is no longer kept"),
            originalStatus: 202,
            retryable: false,
          });
          const lifetimeS = Number(again.headers.get("idempotency-key-lifetime"));
          expect(lifetimeS).toBeGreaterThan(47 * HOUR_S);
          expect(lifetimeS).toBeLessThanOrEqual(48 * HOUR_S + 60);
        }
        expect(runs).toEqual(STRATEGIES);
      },
    );
  });

  it.each([undefined, encryption])(
    "is marked as another request's, or refused with 422, if it is another request (encryption: %o)",
    async (keys) => {
      const options = keys === undefined ? {} : { encryption: keys };
      for (const sweeps of [false, true]) {
        await pool.query("truncate oncekey.records");
        await withShop(
          { pool, sweep: false, replayCache: false, ...options },
          (app) => {
            for (const mismatch of ["replay", "reject"] as const)
              app.post(
                `/${mismatch}`,
                { config: { idempotency: { mismatch } } },
                async () => "done",
              );
          },
          async ({ app, post }) => {
            for (const path of ["/replay", "/reject"])
              await post(path, { key: "k", json: { a: 1 } });
            await endResponses();
            if (sweeps) await app.idempotency.sweep();
            const marked = await post("/replay", { key: "k", json: { a: 2 } });
            expect([marked.status, marked.headers.get("idempotency-mismatch")]).toEqual([
              410,
              "true",
            ]);
            expect((await post("/reject", { key: "k", json: { a: 2 } })).status).toBe(422);
            expect((await post("/reject", { key: "k", json: { a: 1 } })).status).toBe(410);
          },
        );
      }
    },
  );

  it("gets 410 as well if the key that encrypted the record is gone, or encryption is off", async () => {
    await pool.query("truncate oncekey.records");
    const add = (app: FastifyInstance) =>
      app.post("/pay", { config: { idempotency: true } }, async () => "done");
    const shared = { pool, sweep: false, replayCache: false } as const;
    await withShop({ ...shared, encryption }, add, async ({ app, post }) => {
      await post("/pay", { key: "k" });
      await endResponses();
      await app.idempotency.sweep();
    });
    const later = { keys: [{ id: "two", secret: "y".repeat(32) }] };
    for (const options of [{ encryption: later }, {}]) {
      await withShop({ ...shared, ...options }, add, async ({ post }) => {
        expect((await post("/pay", { key: "k" })).status).toBe(410);
      });
    }
  });

  it("is looked up as gone, not as absent", async () => {
    await pool.query("truncate oncekey.records");
    await withShop(
      { pool, sweep: false, replayCache: false },
      (app) => app.post("/pay", { config: { idempotency: true } }, async () => "done"),
      async ({ post }) => {
        await post("/pay", { key: "k" });
        await endResponses();
        const headers = { "idempotency-only-if-stored": "true" };
        expect((await post("/pay", { key: "k", headers })).status).toBe(410);
      },
    );
  });

  it("is not answered from the memory of a process longer than the response was kept", async () => {
    await pool.query("truncate oncekey.records");
    const runs: number[] = [];
    await withShop(
      { pool, sweep: false, replayCache: true, retentionMs: 1_000, fenceMs: 60_000 },
      (app) =>
        app.post("/pay", { config: { idempotency: true } }, async () => `run ${runs.push(1)}`),
      async ({ post }) => {
        expect((await post("/pay", { key: "k" })).text).toBe("run 1");
        await expect.poll(async () => (await post("/pay", { key: "k" })).status).toBe(410);
        expect(runs).toHaveLength(1);
      },
    );
  });
});

/**
 * Defects that were seen in other libraries for idempotency keys when their store fails, one test
 * each.
 */
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { countPayments, createPayments, withShop } from "../support/shop.ts";
import type { ShopOptions } from "../support/shop.ts";
import { createWire } from "@oncekey/test-support/wire/wire";
import type { Wire } from "@oncekey/test-support/wire/wire";

const database = withDatabase();
let pool: pg.Pool;
let relayed: pg.Pool;
let wire: Wire;
beforeAll(async () => {
  pool = database.pool();
  await createPayments(pool);
  const { hostname, port } = new URL(database.url);
  wire = await createWire({ host: hostname, port: Number(port) });
  const url = new URL(database.url);
  url.host = `127.0.0.1:${wire.port}`;
  relayed = database.pool({ connectionString: url.href, max: 4 });
});
afterAll(async () => {
  await relayed.end();
  await wire.close();
});

const protect = { config: { idempotency: true } };
const STRATEGIES: readonly (readonly [string, Partial<ShopOptions>])[] = [
  ["advisory", { strategy: "advisory" }],
  ["unique", { strategy: "unique" }],
  ["row", { strategy: "row" }],
  ["lease", { strategy: "lease", lease: { durationMs: 1_000, onCrash: "rerun" } }],
];

describe("a store that is down", () => {
  it("is reported to the caller before the handler runs, on every try", async () => {
    let runs = 0;
    const nobody = new pg.Pool({ host: "127.0.0.1", port: 1, connectionTimeoutMillis: 500 });
    await withShop(
      { pool: nobody, sweep: false },
      (app) => app.post("/do", protect, async () => ({ run: (runs += 1) })),
      async ({ post }) => {
        const key = crypto.randomUUID();
        for (const answer of [await post("/do", { key }), await post("/do", { key })]) {
          expect([answer.status, answer.json()["code"]]).toEqual([503, "idempotency_unavailable"]);
          expect(answer.headers.get("retry-after")).toBe("1");
        }
        expect(runs).toBe(0);
      },
    );
    await nobody.end();
  });
});

describe.each(STRATEGIES)("under strategy %s", (_name, options) => {
  it.each(["drop-request", "drop-answer"] as const)(
    "a claim whose acknowledgement is lost does not lock its own caller out: %s",
    async (fault) => {
      let runs = 0;
      await withShop(
        { ...options, pool: relayed },
        (app) => app.post("/do", protect, async () => ({ run: (runs += 1) })),
        async ({ post }) => {
          const key = crypto.randomUUID();
          wire.onText(key, fault);
          const first = await post("/do", { key });
          expect([200, 503]).toContain(first.status);
          const retry = first.status === 200 ? first : await post("/do", { key });
          expect([retry.status, retry.json()]).toEqual([200, { run: 1 }]);
          expect(runs).toBe(1);
        },
      );
    },
  );

  it("a reply is stored before it leaves: a retry of the same instant is a replay", async () => {
    let runs = 0;
    await withShop(
      { ...options, pool, inFlight: "reject" },
      (app) => app.post("/do", protect, async () => ({ run: (runs += 1) })),
      async ({ post }) => {
        for (let round = 1; round <= 20; round += 1) {
          const key = crypto.randomUUID();
          await post("/do", { key });
          const again = await post("/do", { key });
          expect([again.status, again.json()]).toEqual([200, { run: round }]);
          expect(again.headers.get("idempotent-replayed")).toBe("true");
        }
      },
    );
  });
});

describe.each(STRATEGIES.slice(0, 3))("under strategy %s", (_name, options) => {
  it.each([
    ["drop-request", 2],
    ["drop-answer", 1],
  ] as const)(
    "a stored response whose acknowledgement is lost is neither an error for good nor a second payment: %s",
    async (fault, expectedRuns) => {
      let runs = 0;
      await withShop(
        { ...options, pool: relayed },
        (app) =>
          app.post("/do", protect, async (request) => {
            runs += 1;
            await request.idempotency.tx.query("insert into payments (amount) values (1)");
            if (runs === 1) wire.onText("commit", fault);
            return { paid: true };
          }),
        async ({ post }) => {
          const key = crypto.randomUUID();
          const before = await countPayments(pool);
          const first = await post("/do", { key });
          expect([first.status, first.json()["code"]]).toEqual([503, "idempotency_unavailable"]);
          const retry = await post("/do", { key });
          expect([retry.status, retry.text]).toEqual([200, '{"paid":true}']);
          expect(runs).toBe(expectedRuns);
          expect((await countPayments(pool)) - before).toBe(1);
        },
      );
    },
  );
});

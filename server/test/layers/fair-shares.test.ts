/** A storm of one scope on a real pool, with handlers that the test holds. */
import { randomUUID } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { fairStore } from "../../src/layers/fair-shares.ts";
import { createStoreParts } from "../../src/store/store-parts.ts";
import { createLeaseStore } from "../../src/store/strategies/lease.ts";
import type { Store } from "../../src/store/store.ts";
import { createGate } from "../support/gate.ts";
import type { Gate } from "../support/gate.ts";
import { withShop } from "../support/shop.ts";
import type { Answer, Shop, ShopOptions } from "../support/shop.ts";
import { claimed, createTicket, RETENTION, response } from "../support/store-contract.ts";

const database = withDatabase();

const scope = (request: FastifyRequest): string => String(request.headers["x-tenant"]);

/** Adds a route whose handlers hold their connection at the gate, if they are asked to. */
function addOrders(app: FastifyInstance, gate: Gate): void {
  app.post<{ Body: { hang: boolean } }>(
    "/orders",
    { config: { idempotency: true } },
    async ({ body }) => {
      if (body.hang) await gate.pass();
      return { served: true };
    },
  );
}

interface Storm {
  readonly order: (tenant: string, key: string, hang?: boolean) => Promise<Answer>;
  readonly gate: Gate;
  readonly shop: Shop;
}

async function inStorm(
  options: Omit<ShopOptions, "pool"> & { readonly max: number; readonly patienceMs?: number },
  use: (storm: Storm) => Promise<void>,
): Promise<void> {
  const { max, patienceMs = 60_000, ...own } = options;
  const pool = database.pool({ max, connectionTimeoutMillis: patienceMs });
  const gate = createGate();
  // The tests share one table.
  const storm = randomUUID();
  await withShop(
    { pool, scope, ...own },
    (app) => addOrders(app, gate),
    async (shop) => {
      const order: Storm["order"] = (tenant, key, hang = false) =>
        shop.post("/orders", {
          key: `${storm}-${key}`,
          json: { hang },
          headers: { "x-tenant": tenant },
        });
      try {
        await use({ order, gate, shop });
      } finally {
        gate.open();
      }
    },
  );
}

/** Resolves when that many requests have got their 503, while the gate is closed. */
async function refusedOf(storm: readonly Promise<Answer>[], count: number): Promise<Answer[]> {
  const refused: Answer[] = [];
  for (const answer of storm)
    void answer.then((one) => (one.status === 503 ? refused.push(one) : undefined));
  await expect.poll(() => refused.length, { timeout: 20_000 }).toBe(count);
  return refused;
}

describe("a storm of hanging handlers in one scope", () => {
  it("holds a quarter of the pool, and requests of another scope are served at the same time", async () => {
    await inStorm({ max: 8 }, async ({ order, gate }) => {
      const storm = Array.from({ length: 30 }, (_, index) => order("a", `storm-${index}`, true));
      await expect.poll(gate.passed).toBe(2);
      const others = await Promise.all(
        Array.from({ length: 20 }, (_, index) => order("b", `calm-${index}`)),
      );
      expect(others.map(({ status }) => status)).toEqual(Array(20).fill(200));
      expect(gate.passed()).toBe(2);
      gate.open();
      const answers = await Promise.all(storm);
      expect(answers.map(({ status }) => status)).toEqual(Array(30).fill(200));
    });
  });

  it("replays what the scope has stored, and looks keys up, while the storm holds its share", async () => {
    await inStorm({ max: 4 }, async ({ order, gate, shop }) => {
      const first = await order("a", "kept");
      const hanging = order("a", "hanging", true);
      await gate.reached;
      const replay = await order("a", "kept");
      expect([replay.status, replay.text]).toEqual([200, first.text]);
      expect(replay.headers.get("idempotent-replayed")).toBe("true");
      const lookup = await shop.post("/orders", {
        key: "absent",
        json: { hang: false },
        headers: { "x-tenant": "a", "idempotency-only-if-stored": "true" },
      });
      expect(lookup.json()).toMatchObject({ code: "idempotency_not_found" });
      gate.open();
      expect((await hanging).status).toBe(200);
    });
  });

  it("refuses a new key with 503, Retry-After and a retryable problem when no place became free in time", async () => {
    await inStorm({ max: 4, patienceMs: 1_000 }, async ({ order, gate }) => {
      const hanging = order("a", "hanging", true);
      await gate.reached;
      const refused = await order("a", "refused");
      expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
      expect(refused.json()).toMatchObject({
        code: "idempotency_unavailable",
        detail: "Other requests of the same scope hold its share of the database connections",
        retryable: true,
      });
      gate.open();
      expect((await hanging).status).toBe(200);
      expect((await order("a", "refused")).status).toBe(200);
    });
  });

  it("gives places back in order, also after handlers that throw", async () => {
    const pool = database.pool({ max: 4, connectionTimeoutMillis: 60_000 });
    const started: string[] = [];
    await withShop(
      { pool, scope },
      (app) =>
        app.post("/throw", { config: { idempotency: true } }, async ({ idempotency }) => {
          started.push(idempotency.key);
          throw new Error("planned");
        }),
      async ({ post }) => {
        const keys = Array.from({ length: 12 }, (_, index) => `key-${index}`);
        const answers = await Promise.all(
          keys.map((key) => post("/throw", { key, headers: { "x-tenant": "a" } })),
        );
        expect(answers.map(({ status }) => status)).toEqual(Array(12).fill(500));
        expect(started.toSorted()).toEqual(keys.toSorted());
      },
    );
  });
});

describe("the claim of a crashed key", () => {
  it("holds the place of its scope until it ends", async () => {
    const pool = database.pool({ max: 4, connectionTimeoutMillis: 1_000 });
    const leases = createLeaseStore(createStoreParts(pool, "oncekey"), 60_000);
    const ticket = createTicket();
    await (await claimed(leases, ticket)).release("failed");
    const shared = fairStore(leases, pool, 1);
    const retry = await shared.begin(ticket, RETENTION);
    if (retry.kind !== "crashed") throw new Error(`expected a crash, got ${retry.kind}`);
    expect(await shared.begin(createTicket(), RETENTION)).toEqual({ kind: "busy" });
    await retry.claim.complete(response("rerun"), "keep");
    await (await claimed(shared, createTicket())).release("free");
  });
});

describe("a place that a waiting request takes over", () => {
  it("is taken: the next request of the scope waits for it", async () => {
    const pool = database.pool({ max: 4 });
    const leases = createLeaseStore(createStoreParts(pool, "oncekey"), 60_000);
    const begun: string[] = [];
    const looked = Promise.withResolvers<void>();
    const watched: Store = {
      ...leases,
      begin(ticket, retention) {
        begun.push(ticket.key);
        return leases.begin(ticket, retention);
      },
      async lookup(ticket) {
        const found = await leases.lookup(ticket);
        looked.resolve();
        return found;
      },
    };
    const shared = fairStore(watched, pool, 1);
    const [one, two, three] = [createTicket(), createTicket(), createTicket()];
    const first = await claimed(shared, one);
    const waiting = claimed(shared, two);
    await looked.promise;
    await setImmediate();
    await first.release("free");
    const second = await waiting;
    const last = claimed(shared, three);
    expect(begun).toEqual([one.key, two.key]);
    await second.release("free");
    await (await last).release("free");
    expect(begun).toEqual([one.key, two.key, three.key]);
  });
});

describe("a storm of one scope beside requests of another", () => {
  it("refuses only requests of the scope that storms, and leaves the others its connections", async () => {
    await inStorm({ max: 8, patienceMs: 1_000 }, async ({ order, gate, shop }) => {
      const held = (): number => shop.pool.totalCount - shop.pool.idleCount;
      const storm = Array.from({ length: 40 }, (_, index) => order("a", `storm-${index}`, true));
      await expect.poll(gate.passed).toBe(2);
      let mostHeld = 0;
      const others: Answer[] = [];
      for (let index = 0; index < 30; index += 1) {
        others.push(await order("b", `calm-${index}`));
        mostHeld = Math.max(mostHeld, held());
      }
      expect(others.map(({ status }) => status)).toEqual(Array(30).fill(200));
      // Two handlers, two look-ups of waiting keys at the most, and the one request of the other scope.
      expect(mostHeld).toBeLessThanOrEqual(5);
      const refused = await refusedOf(storm, 38);
      expect(refused.every(({ headers }) => headers.get("retry-after") === "1")).toBe(true);
      gate.open();
      const served = (await Promise.all(storm)).filter(({ status }) => status === 200);
      expect(served).toHaveLength(2);
    });
  });

  it("counts requests without a key by the scope of their caller", async () => {
    await inStorm({ max: 8, required: false, patienceMs: 1_000 }, async ({ gate, shop }) => {
      const keyless = (tenant: string, hang: boolean): Promise<Answer> =>
        shop.post("/orders", { json: { hang }, headers: { "x-tenant": tenant } });
      const storm = Array.from({ length: 10 }, () => keyless("a", true));
      await expect.poll(gate.passed).toBe(2);
      expect((await keyless("b", false)).status).toBe(200);
      const refused = await refusedOf(storm, 8);
      expect(refused.every(({ headers }) => headers.get("retry-after") === "1")).toBe(true);
      expect(gate.passed()).toBe(2);
      gate.open();
      const served = (await Promise.all(storm)).filter(({ status }) => status === 200);
      expect(served).toHaveLength(2);
    });
  });

  it("refuses no request without a key whose caller has no scope, or whose scope throws", async () => {
    const scopes: ((request: FastifyRequest) => string)[] = [
      () => "",
      () => {
        throw new Error("who is it?");
      },
    ];
    for (const unknown of scopes) {
      await inStorm({ max: 8, required: false, scope: unknown }, async ({ gate, shop }) => {
        const storm = [1, 2, 3].map(() => shop.post("/orders", { json: { hang: true } }));
        await expect.poll(gate.passed).toBe(3);
        gate.open();
        const answers = await Promise.all(storm);
        expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
      });
    }
  });
});

describe("maxInFlightPerScope", () => {
  it("sets the number of handlers of one scope", async () => {
    await inStorm({ max: 8, maxInFlightPerScope: 3 }, async ({ order, gate }) => {
      const storm = Array.from({ length: 6 }, (_, index) => order("a", `storm-${index}`, true));
      await expect.poll(gate.passed).toBe(3);
      expect((await order("b", "calm")).status).toBe(200);
      expect(gate.passed()).toBe(3);
      gate.open();
      await Promise.all(storm);
    });
  });

  it("sets no limit for scope 'single-tenant', nor if it reaches the pool's max", async () => {
    for (const own of [{ scope: "single-tenant" as const }, { maxInFlightPerScope: 4 }]) {
      await inStorm({ max: 4, ...own }, async ({ order, gate }) => {
        const storm = [1, 2, 3].map((index) => order("a", `key-${index}`, true));
        // All but the connection that is left to the application.
        await expect.poll(gate.passed).toBe(3);
        gate.open();
        await Promise.all(storm);
      });
    }
  });
});

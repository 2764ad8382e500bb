/** Finding what waits for a decision, deciding it, and the audit of that. */
import type { FastifyInstance } from "fastify";
import type pg from "pg";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createLeaseStore } from "../../src/store/strategies/lease.ts";
import { createStoreParts } from "../../src/store/store-parts.ts";
import { createGate } from "../support/gate.ts";
import { listening } from "../support/listening.ts";
import { RETENTION } from "../support/store-contract.ts";
import { withShop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});
beforeEach(() => pool.query("truncate oncekey.records, oncekey.decisions"));

const decision = { by: "ada", reason: "ticket 42" };
const address = (key: string) => ({ key, scope: "single-tenant", target: "POST /charge" });
const encryption = { keys: [{ id: "one", secret: "x".repeat(32) }] };

/** A lease route whose handler fails until the test lets it answer. */
function addCharge(app: FastifyInstance, runs: string[] = [], onCrash: "fail" | "rerun" = "rerun") {
  const idempotency = { strategy: "lease", lease: { onCrash } } as const;
  return app.post("/charge", { config: { idempotency } }, async ({ idempotency: { key } }) => {
    runs.push(key);
    if (!key.startsWith("ok")) throw new Error("the handler dies");
    return { charged: key };
  });
}

const shared = { sweep: false, replayCache: false, waitMs: 50 } as const;

async function actions(): Promise<unknown[]> {
  const text =
    "select action, key, state, status, decided_by, reason, records from oncekey.decisions";
  return (await pool.query(`${text} order by decided_at`)).rows;
}

describe("resolve", () => {
  it.each([undefined, encryption])(
    "stores the answer of a crashed key, which every retry gets, and writes the audit (encryption: %o)",
    async (keys) => {
      const runs: string[] = [];
      const options = keys === undefined ? {} : { encryption: keys };
      await withShop(
        { pool, ...shared, ...options },
        (app) => addCharge(app, runs),
        async ({ app, post }) => {
          const request = { key: "dead", json: { amount: 1 } };
          expect((await post("/charge", request)).status).toBe(500);
          expect((await app.idempotency.list({ state: "crashed" })).records).toMatchObject([
            { key: "dead", state: "crashed", target: "POST /charge" },
          ]);
          await listening("oncekey:resolved", async (events) => {
            const answer = { status: 201, body: { charged: "by hand" } };
            await app.idempotency.resolve(address("dead"), answer, decision);
            expect(events).toMatchObject([{ status: 201, state: "crashed" }]);
          });
          const again = await post("/charge", request);
          expect([again.status, again.json()]).toEqual([201, { charged: "by hand" }]);
          expect(again.headers.get("idempotent-replayed")).toBe("true");
          expect(again.headers.get("idempotency-mismatch")).toBeNull();
          const other = await post("/charge", { key: "dead", json: { amount: 2 } });
          expect(other.headers.get("idempotency-mismatch")).toBe("true");
          expect(runs).toEqual(["dead"]);
          expect(await actions()).toMatchObject([
            { action: "resolved", key: "dead", state: "crashed", status: 201, decided_by: "ada" },
          ]);
          expect((await app.idempotency.list({ state: "crashed" })).records).toEqual([]);
        },
      );
    },
  );

  it("decides a key that 'fail' has closed, also if its 500 is in the memory of the process", async () => {
    await withShop(
      { pool, ...shared, replayCache: true },
      (app) => addCharge(app, [], "fail"),
      async ({ app, post }) => {
        await post("/charge", { key: "closed" });
        expect((await post("/charge", { key: "closed" })).status).toBe(500);
        const { records } = await app.idempotency.list({ state: "failed" });
        expect(records).toMatchObject([{ key: "closed", state: "failed", status: 500 }]);
        await app.idempotency.resolve(address("closed"), { status: 204 }, decision);
        expect((await post("/charge", { key: "closed" })).status).toBe(204);
      },
    );
  });

  it("refuses a key whose handler runs, one that is finished, and one that is not there", async () => {
    const gate = createGate();
    await withShop(
      { pool, ...shared },
      (app) => {
        addCharge(app);
        const idempotency = { strategy: "lease", lease: { onCrash: "fail" } } as const;
        app.post("/slow", { config: { idempotency } }, async () => {
          await gate.pass();
          return "done";
        });
      },
      async ({ app, post }) => {
        const running = post("/slow", { key: "runs" });
        await gate.reached;
        await post("/charge", { key: "ok" });
        const refuses = (key: string, target = "POST /charge") =>
          app.idempotency.resolve({ ...address(key), target }, { status: 200 }, decision);
        await expect(refuses("runs", "POST /slow")).rejects.toMatchObject({
          name: "DecisionRefusedError",
          state: "running",
        });
        await expect(refuses("ok")).rejects.toMatchObject({ state: "finished" });
        await expect(refuses("absent")).rejects.toMatchObject({ state: "absent" });
        gate.open();
        expect((await running).text).toBe("done");
        expect(await actions()).toEqual([]);
      },
    );
  });

  it("is won by one of several that decide at once, beside a retry", async () => {
    for (let round = 0; round < 15; round += 1) {
      const key = `race-${round}`;
      const runs: string[] = [];
      await withShop(
        { pool, ...shared },
        (app) => addCharge(app, runs),
        async ({ app, post }) => {
          await post("/charge", { key });
          const resolved = await Promise.allSettled([
            app.idempotency.resolve(address(key), { status: 201, body: "one" }, decision),
            app.idempotency.resolve(address(key), { status: 202, body: "two" }, decision),
            post("/charge", { key }),
          ]);
          const winners = resolved.slice(0, 2).filter(({ status }) => status === "fulfilled");
          expect(winners.length).toBeLessThanOrEqual(1);
          const { rows } = await pool.query("select from oncekey.decisions where key = $1", [key]);
          expect(rows).toHaveLength(winners.length);
        },
      );
    }
  });

  it("checks who decides, why, and the answer, by name", async () => {
    await withShop({ pool, ...shared }, addCharge, async ({ app }) => {
      const { idempotency } = app;
      const answer = { status: 200 };
      await expect(
        idempotency.resolve(address("k"), answer, { by: "", reason: "r" }),
      ).rejects.toThrow('by must be 1 to 200 characters, got ""');
      await expect(idempotency.forget(address("k"), { by: "b" } as never)).rejects.toThrow(
        "reason must be 1 to 1000 characters, got undefined",
      );
      await expect(idempotency.resolve(address("k"), { status: 500 }, decision)).rejects.toThrow(
        "response.status must be a whole number from 200 to 499, got 500",
      );
      await expect(idempotency.list({ limit: 0 })).rejects.toThrow("limit must be a whole number");
      await expect(idempotency.list({ state: "odd" as never })).rejects.toThrow(
        "state must be one",
      );
      await expect(idempotency.list({ cursor: "odd" })).rejects.toThrow(
        "cursor must be the cursor",
      );
      await expect(idempotency.list({ route: "odd" })).rejects.toThrow("route must be a method");
    });
  });
});

describe("forget", () => {
  it("writes the audit with the record's state, and publishes it", async () => {
    await withShop({ pool, ...shared }, addCharge, async ({ app, post }) => {
      await post("/charge", { key: "ok" });
      await listening("oncekey:forgotten", async (events) => {
        expect(await app.idempotency.forget(address("ok"), decision)).toBe(1);
        expect(events).toMatchObject([{ records: 1 }]);
      });
      expect(await actions()).toMatchObject([
        { action: "forgotten", key: "ok", state: "finished", status: 200, reason: "ticket 42" },
      ]);
      expect((await app.idempotency.decisions({ key: "ok" })).decisions).toMatchObject([
        { action: "forgotten", by: "ada", at: expect.stringMatching(/^20.*Z$/) },
      ]);
    });
  });

  it("leaves no record deleted if the audit cannot be written", async () => {
    await withShop({ pool, ...shared }, addCharge, async ({ app, post }) => {
      await post("/charge", { key: "ok" });
      await pool.query(
        "alter table oncekey.decisions add constraint no check (reason <> 'ticket 42')",
      );
      await expect(app.idempotency.forget(address("ok"), decision)).rejects.toThrow("violates");
      await pool.query("alter table oncekey.decisions drop constraint no");
      expect(await app.idempotency.lookup(address("ok"))).toHaveLength(1);
    });
  });

  it("deletes all of a scope, also from the memory of the process, and leaves what runs", async () => {
    const scoped = {
      scope: ({ headers }: { headers: object }) => Reflect.get(headers, "x-user") as string,
    };
    await withShop(
      { pool, ...shared, replayCache: true, ...scoped },
      addCharge,
      async ({ app, post }) => {
        const as = (user: string, key: string) =>
          post("/charge", { key, headers: { "x-user": user } });
        for (const key of ["ok1", "ok2", "dead"]) await as("ada", key);
        await as("bob", "ok1");
        const lease = createLeaseStore(createStoreParts(pool, "oncekey"), 60_000);
        const ticket = {
          key: "runs",
          scope: "ada",
          target: "POST /charge",
          fingerprint: Buffer.alloc(33),
        };
        const running = await lease.begin(ticket, RETENTION);
        expect(await app.idempotency.forgetScope("ada", decision)).toEqual({
          forgotten: 3,
          held: 1,
        });
        expect((await as("ada", "ok1")).headers.get("idempotent-replayed")).toBeNull();
        expect((await as("bob", "ok1")).headers.get("idempotent-replayed")).toBe("true");
        expect(await actions()).toMatchObject([{ action: "forgotten", key: null, records: 3 }]);
        if (running.kind === "claimed") await running.claim.release("free");
      },
    );
  });
});

describe("list", () => {
  it("pages through every record once, by state, scope, route and age", async () => {
    await pool.query(`
      insert into oncekey.records (key, scope, target, fingerprint, status, headers, created_at, expires_at, fence_until)
      select 'k' || n, 'scope-' || n % 10, case when n % 2 = 0 then 'POST /orders/' || n else 'POST /refunds' end,
        '\\x01', 201, '[]', now() - n * interval '1 minute', now() + interval '1 day', now() + interval '30 days'
      from generate_series(1, 1000) as n`);
    await withShop({ pool, ...shared }, addCharge, async ({ app }) => {
      const all = async (query: Parameters<typeof app.idempotency.list>[0]) => {
        const keys: string[] = [];
        for (let cursor: string | undefined; ;) {
          const page = await app.idempotency.list({ ...query, cursor, limit: 70 });
          expect(page.records.length).toBeLessThanOrEqual(70);
          keys.push(...page.records.map(({ key }) => key));
          if (page.cursor === undefined) break;
          cursor = page.cursor;
        }
        expect(new Set(keys).size).toBe(keys.length);
        return keys.length;
      };
      expect(await all({})).toBe(1_000);
      expect(await all({ state: "finished" })).toBe(1_000);
      expect(await all({ state: "tombstone" })).toBe(0);
      expect(await all({ scope: "scope-3" })).toBe(100);
      expect(await all({ route: "POST /orders/:id" })).toBe(500);
      expect(await all({ route: "POST /orders" })).toBe(0);
      expect(await all({ olderThan: 500.5 * 60_000 })).toBe(500);
    });
  });
});

import pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { migrate } from "@oncekey/server";
import { assertNothingLeft } from "@oncekey/test-support/postgres/database";
import { startPostgres } from "@oncekey/test-support/postgres/postgres";
import type { Postgres } from "@oncekey/test-support/postgres/postgres";
import { createGate } from "../support/gate.ts";
import { withShop } from "../support/shop.ts";
import type { Answer } from "../support/shop.ts";

let postgres: Postgres;
let pool: pg.Pool;
beforeAll(async () => {
  // A server of its own: a full lock table is full for every session, and no other session may free a lock.
  postgres = await startPostgres({
    fsync: false,
    maxConnections: 20,
    settings: { autovacuum: "off" },
  });
  pool = new pg.Pool({ connectionString: postgres.url("postgres"), max: 8 });
  pool.on("error", () => undefined);
  await migrate(pool);
  await pool.query("create table effects (key text)");
});
afterAll(async () => {
  await pool.end();
  await postgres.stop();
});

it.each(["advisory", "unique", "row", "lease"] as const)(
  "where the lock table is full, strategy %s answers a new key with 503 and loses nothing; with room it runs once",
  async (strategy) => {
    const [stored, running, fresh] = ["stored", "running", "fresh"].map(
      (key) => `${key}-${strategy}`,
    );
    const gate = createGate();
    const lease = { durationMs: 2_000, onCrash: "fail" as const };
    const config = { idempotency: strategy === "lease" ? { strategy, lease } : { strategy } };
    await withShop(
      { pool, sweep: false, waitMs: 500 },
      (app) =>
        app.post("/pay", { config }, async (request, reply) => {
          const { key } = request.idempotency;
          const db = strategy === "lease" ? pool : request.idempotency.tx;
          await db.query("insert into effects values ($1)", [key]);
          if (key === running) await gate.pass();
          return reply.code(201).send({ paid: crypto.randomUUID() });
        }),
      async ({ post }) => {
        const pay = (key = "") => post("/pay", { key });
        const first = await pay(stored);
        const underWay = pay(running);
        await gate.reached;
        const free = await fill();
        for (let times = 0; times < 2; times += 1) {
          const answer = await pay(fresh);
          expect(answer.status).toBe(503);
          expect(answer.headers.get("retry-after")).toBe("1");
          expect(answer.headers.get("content-type")).toBe("application/problem+json");
          expect(answer.json()).toMatchObject({ code: "idempotency_unavailable", retryable: true });
        }
        gate.open();
        const [known, ended] = [await pay(stored), await underWay];
        if (known.status !== 503) expect(known.bytes).toEqual(first.bytes);
        await free();

        expect((await pay(stored)).bytes).toEqual(first.bytes);
        expect((await pay(fresh)).status).toBe(201);
        // An effect that could not be stored: rolled back and run again, or, outside of a transaction, treated as a crash.
        const settled = await untilSettled(() => pay(running));
        if (ended.status === 201) expect(settled.bytes).toEqual(ended.bytes);
        else {
          expect(ended.json()).toMatchObject({ code: "idempotency_unavailable" });
          expect(settled.status).toBe(strategy === "lease" ? 500 : 201);
        }
        const counted = await Promise.all([stored, running, fresh].map(effects));
        expect(counted).toEqual([1, 1, 1]);
      },
    );
    await assertNothingLeft(pool);
  },
);

/** A session takes locks until there are no more, and keeps them until the returned function is called. */
async function fill(): Promise<() => Promise<void>> {
  const greedy = new pg.Client({ connectionString: postgres.url("postgres") });
  greedy.on("error", () => undefined);
  await greedy.connect();
  await expect(
    greedy.query("select pg_advisory_lock(id) from generate_series(1, 10000000) as id"),
  ).rejects.toMatchObject({ code: "53200" });
  return () => greedy.end();
}

/** A lease that could not be finished is in flight until it is over. */
async function untilSettled(ask: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    const answer = await ask();
    if (answer.status !== 409) return answer;
    expect(answer.json()).toMatchObject({ code: "idempotency_in_flight" });
  }
}

async function effects(key = ""): Promise<number> {
  const { rowCount } = await pool.query("select from effects where key = $1", [key]);
  return rowCount ?? -1;
}

/** The clock of a server that steps while it runs: the database's clock decides, and its own only bounds waiting by a clock that cannot step. */
import type { FastifyInstance } from "fastify";
import type pg from "pg";
import { afterEach, beforeAll, expect, it, vi } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createGate } from "../support/gate.ts";
import { listening } from "../support/listening.ts";
import { withShop } from "../support/shop.ts";

const HOUR_MS = 3_600_000;
const LEASE_MS = 3_000;
const RETENTION_S = 24 * 3_600;
const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await pool.query("create table effects (key text)");
});
afterEach(() => vi.useRealTimers());

it.each(
  (["advisory", "unique", "row", "lease"] as const).flatMap((strategy) => [
    { strategy, hours: -1 },
    { strategy, hours: 1 },
  ]),
)(
  "strategy $strategy: a clock that steps by $hours hours while a handler runs changes nothing",
  async ({ strategy, hours }) => {
    const key = crypto.randomUUID();
    const gate = createGate();
    const lease = { durationMs: LEASE_MS, onCrash: "fail" as const };
    const config = { idempotency: strategy === "lease" ? { strategy, lease } : { strategy } };
    const routes = (app: FastifyInstance): unknown =>
      app.post("/pay", { config }, async (request, reply) => {
        const db = strategy === "lease" ? pool : request.idempotency.tx;
        await db.query("insert into effects values ($1)", [key]);
        await gate.pass();
        return reply.code(201).send({ paid: crypto.randomUUID() });
      });
    await listening("oncekey:heartbeat", (beats) =>
      withShop(
        { pool, waitMs: 50, replayCache: {}, fenceMs: RETENTION_S * 1_000 },
        routes,
        async ({ post }) => {
          const first = post("/pay", { key });
          await gate.reached;
          vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + hours * HOUR_MS });
          const seen = beats.length;
          // Longer than a lease: renewed as before.
          if (strategy === "lease")
            while (beats.length < seen + 5)
              await new Promise((resolve) => void setTimeout(resolve, 20));
          expect((await post("/pay", { key })).json()["code"]).toBe("idempotency_in_flight");
          gate.open();
          const answer = await first;
          expect(answer.status).toBe(201);
          vi.setSystemTime(Date.now() - 2 * hours * HOUR_MS);
          const again = await post("/pay", { key });
          expect(again.headers.get("idempotent-replayed")).toBe("true");
          expect(again.bytes).toEqual(answer.bytes);
          const lifetime = Number(again.headers.get("idempotency-key-lifetime"));
          expect(lifetime).toBeLessThanOrEqual(RETENTION_S);
          expect(lifetime).toBeGreaterThan(RETENTION_S - 3_600 / 2);
          expect(beats.every(({ outcome }) => outcome === "renewed")).toBe(true);
        },
      ),
    );
    expect((await pool.query("select from effects where key = $1", [key])).rowCount).toBe(1);
  },
);

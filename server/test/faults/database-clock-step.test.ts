import type { FastifyInstance } from "fastify";
import pg from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { migrate } from "@oncekey/server";
import { assertNothingLeft } from "@oncekey/test-support/postgres/database";
import {
  hasSteppedClock,
  startSteppedPostgres,
} from "@oncekey/test-support/postgres/stepped-postgres";
import type { SteppedPostgres } from "@oncekey/test-support/postgres/stepped-postgres";
import { createLeaseStore } from "../../src/store/strategies/lease.ts";
import { createStoreParts } from "../../src/store/store-parts.ts";
import { createGate } from "../support/gate.ts";
import type { Gate } from "../support/gate.ts";
import { withShop } from "../support/shop.ts";
import type { Answer, Shop } from "../support/shop.ts";
import { claimed } from "../support/store-contract.ts";

const UNABLE = hasSteppedClock ? "" : " (not tried: libfaketime is not on this machine)";
const HOUR_MS = 3_600_000;
const RETENTION_MS = 24 * HOUR_MS;
const DEAD = Buffer.from([1]);

let postgres: SteppedPostgres;
let pool: pg.Pool;

beforeAll(async () => {
  if (!hasSteppedClock) return;
  postgres = await startSteppedPostgres();
  pool = new pg.Pool({ connectionString: postgres.url("postgres"), max: 10 });
  pool.on("error", () => undefined);
  await migrate(pool);
  await pool.query("create table effects (key text, downstream text)");
});
afterEach(async () => {
  if (!hasSteppedClock) return;
  await postgres.stepTo(0);
  await assertNothingLeft(pool);
});
afterAll(async () => {
  if (!hasSteppedClock) return;
  await pool.end();
  await postgres.stop();
});

const STEPS = [
  ["forwards", 3],
  ["backwards", -3],
] as const;
const ONE_COMMIT = ["advisory", "unique", "row"] as const;
const ALL = [...ONE_COMMIT, "lease"] as const;

describe.skipIf(!hasSteppedClock)(`where the clock of the database steps by hours${UNABLE}`, () => {
  it.each(ALL)(
    "strategy %s: what is stored is replayed, and its lifetime is shorter or longer by as much",
    async (strategy) => {
      const key = crypto.randomUUID();
      await withServers({ strategy }, async (one) => {
        const first = await one.pay(key);
        expect([first.status, lifetimeMs(first)]).toEqual([201, RETENTION_MS]);
        for (const [, hours] of STEPS) {
          await postgres.stepTo(hours);
          const again = await one.pay(key);
          expect(again.headers.get("idempotent-replayed")).toBe("true");
          expect(again.bytes).toEqual(first.bytes);
          const expected = RETENTION_MS - hours * HOUR_MS;
          expect(lifetimeMs(again)).toBeLessThanOrEqual(expected);
          // Connections that the test itself has taken.
          expect(lifetimeMs(again)).toBeGreaterThan(expected - HOUR_MS / 2);
        }
        expect(await effects(key)).toBe(1);
      });
    },
  );

  it.each(ONE_COMMIT)(
    "strategy %s, while the handler runs: nobody else gets in, and its answer is what is replayed",
    async (strategy) => {
      const key = crypto.randomUUID();
      await withServers({ strategy }, async (one, two, gate) => {
        const running = one.pay(key, { wait: true });
        await gate.reached;
        for (const [, hours] of STEPS) {
          await postgres.stepTo(hours);
          expect((await two.pay(key)).json()["code"]).toBe("idempotency_in_flight");
        }
        gate.open();
        await endsOnce(key, running, two);
      });
    },
  );

  it("forwards past the retention: the response has expired, and its key runs nothing", async () => {
    const key = crypto.randomUUID();
    await withServers({ strategy: "advisory", fenceMs: 2 * RETENTION_MS }, async (one) => {
      await one.pay(key);
      await postgres.stepTo(25);
      expect((await one.pay(key)).status).toBe(410);
      expect(await effects(key)).toBe(1);
    });
  });

  it("forwards past the fence: the key runs again", async () => {
    const key = crypto.randomUUID();
    await withServers({ strategy: "advisory" }, async (one) => {
      const first = await one.pay(key);
      await postgres.stepTo(25);
      const again = await one.pay(key);
      expect([again.status, again.headers.get("idempotent-replayed")]).toEqual([201, null]);
      expect(again.bytes).not.toEqual(first.bytes);
      expect(await effects(key)).toBe(2);
    });
  });

  it.each(STEPS)("%s: the age of a key is told by the server's own clock", async (_name, hours) => {
    await withServers({ strategy: "advisory", maxKeyAgeMs: HOUR_MS }, async (one) => {
      await postgres.stepTo(hours);
      expect((await one.pay(keyOfAge(0))).status).toBe(201);
      expect((await one.pay(keyOfAge(2 * HOUR_MS))).json()["code"]).toBe("idempotency_key_expired");
    });
  });

  it("forwards past a lease that its owner still holds: 'fail' closes the key for both, with one effect", async () => {
    const key = crypto.randomUUID();
    await withServers({ strategy: "lease", onCrash: "fail" }, async (one, two, gate) => {
      const running = one.pay(key, { wait: true });
      await gate.reached;
      await postgres.stepTo(3);
      const closed = await two.pay(key);
      expect([closed.status, closed.json()["code"]]).toEqual([500, "idempotency_outcome_unknown"]);
      gate.open();
      expect((await running).json()["code"]).toBe("idempotency_outcome_unknown");
      expect(await effects(key)).toBe(1);
    });
  });

  it("forwards past a live lease: 'rerun' runs beside the owner under the same derived key, and every caller gets one answer", async () => {
    const key = crypto.randomUUID();
    await withServers({ strategy: "lease", onCrash: "rerun" }, async (one, two, gate) => {
      const running = one.pay(key, { wait: true });
      await gate.reached;
      await postgres.stepTo(3);
      const second = await two.pay(key);
      expect(second.status).toBe(201);
      gate.open();
      const late = await running;
      expect(late.bytes).toEqual(second.bytes);
      expect((await one.pay(key)).bytes).toEqual(second.bytes);
      expect([await effects(key), await downstreams(key)]).toEqual([2, 1]);
    });
  });

  it.each(STEPS)(
    "%s, and nobody else asks before the next heartbeat: the owner has its lease again, for as long as always",
    async (_name, hours) => {
      const key = crypto.randomUUID();
      const durationMs = 1_500;
      await withServers({ strategy: "lease", durationMs }, async (one, two, gate) => {
        const running = one.pay(key, { wait: true });
        await gate.reached;
        await postgres.stepTo(hours);
        await expect.poll(() => leaseLeftMs(key)).toSatisfy((ms) => ms > 0 && ms <= durationMs);
        expect((await two.pay(key)).json()["code"]).toBe("idempotency_in_flight");
        gate.open();
        await endsOnce(key, running, two);
      });
    },
  );

  it("backwards, after its owner died: the key stays in flight until that clock has come to the end of the lease", async () => {
    const key = crypto.randomUUID();
    await withServers({ strategy: "lease", onCrash: "fail" }, async (_one, two) => {
      const dead = createLeaseStore(createStoreParts(pool, "oncekey"), 600_000);
      const ticket = { key, scope: "single-tenant", target: "POST /pay", fingerprint: DEAD };
      const claim = await claimed(dead, ticket);
      await postgres.stepTo(-3);
      expect((await two.pay(key)).json()["code"]).toBe("idempotency_in_flight");
      expect(await leaseLeftMs(key)).toBeGreaterThan(2 * HOUR_MS);
      await claim.release("failed");
    });
  });
});

interface Rules {
  readonly strategy: (typeof ALL)[number];
  readonly onCrash?: "fail" | "rerun";
  /** Default: no heartbeat within a test. */
  readonly durationMs?: number;
  readonly maxKeyAgeMs?: number;
  /** Default: as long as the response is kept. */
  readonly fenceMs?: number;
}

interface Server {
  /** `wait`: its handler has its effect, and then waits at the gate. */
  readonly pay: (key: string, how?: { readonly wait: boolean }) => Promise<Answer>;
}

/** Two servers on the database, which know of each other only by it. */
async function withServers(
  { strategy, onCrash = "fail", durationMs = 600_000, maxKeyAgeMs, fenceMs = RETENTION_MS }: Rules,
  use: (one: Server, two: Server, gate: Gate) => Promise<void>,
): Promise<void> {
  const gate = createGate();
  const lease = strategy === "lease" ? { lease: { onCrash, durationMs } } : {};
  const age = maxKeyAgeMs === undefined ? {} : { maxKeyAgeMs };
  const config = { idempotency: { strategy, fenceMs, ...lease, ...age } };
  const routes = (app: FastifyInstance): unknown =>
    app.post("/pay", { config }, async (request, reply) => {
      const { key, deriveKey } = request.idempotency;
      const db = strategy === "lease" ? pool : request.idempotency.tx;
      await db.query("insert into effects values ($1, $2)", [key, deriveKey("charge")]);
      if (request.headers["x-wait"] === "yes") await gate.pass();
      return reply.code(201).send({ paid: crypto.randomUUID() });
    });
  const options = { pool, sweep: false, waitMs: 100 } as const;
  const toServer = ({ post }: Shop): Server => ({
    pay: (key, how) =>
      post("/pay", { key, headers: how?.wait === true ? { "x-wait": "yes" } : {} }),
  });
  await withShop(options, routes, (one) =>
    withShop(options, routes, (two) => use(toServer(one), toServer(two), gate)),
  );
}

/** Checks that every later request gets the stored answer, after one effect. */
async function endsOnce(key: string, running: Promise<Answer>, other: Server): Promise<void> {
  const answer = await running;
  expect(answer.status).toBe(201);
  expect((await other.pay(key)).bytes).toEqual(answer.bytes);
  expect(await effects(key)).toBe(1);
}

function lifetimeMs({ headers }: Answer): number {
  return Number(headers.get("idempotency-key-lifetime")) * 1_000;
}

function keyOfAge(ms: number): string {
  const time = (Date.now() - ms).toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${crypto.randomUUID().slice(15)}`;
}

async function effects(key: string): Promise<number> {
  const { rowCount } = await pool.query("select from effects where key = $1", [key]);
  return rowCount ?? -1;
}

async function downstreams(key: string): Promise<number> {
  const sql = "select distinct downstream from effects where key = $1";
  return (await pool.query(sql, [key])).rowCount ?? -1;
}

async function leaseLeftMs(key: string): Promise<number> {
  const { rows } = await pool.query<{ ms: number }>(
    `select extract(epoch from lease_until - statement_timestamp())::float8 * 1000 as ms
     from oncekey.records where key = $1`,
    [key],
  );
  return rows[0]?.ms ?? NaN;
}

/** A line to the database that drops every byte both ways while a handler runs; neither side is notified, and it stays open. */
import { idempotency } from "@oncekey/server";
import type { RouteIdempotencyOptions } from "@oncekey/server";
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import type pg from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createGate } from "../support/gate.ts";
import type { Gate } from "../support/gate.ts";
import { createWire } from "@oncekey/test-support/wire/wire";
import type { Wire } from "@oncekey/test-support/wire/wire";

// In place of Oncekey's minute: how long Postgres leaves a transaction alone from which it hears nothing.
const IDLE_MS = 1_000;
const LEASE_MS = 2_000;

const database = withDatabase();
let pool: pg.Pool;
let wire: Wire;
let far: pg.Pool;

beforeAll(async () => {
  pool = database.pool();
  await pool.query("create table effects (key text)");
  const url = new URL(database.url);
  await pool.query(
    `alter database "${url.pathname.slice(1)}" set idle_in_transaction_session_timeout = ${IDLE_MS}`,
  );
  wire = await createWire({ host: url.hostname, port: Number(url.port) });
  url.host = `127.0.0.1:${wire.port}`;
  far = database.pool({ connectionString: url.href, connectionTimeoutMillis: 10_000 });
});
afterEach(() => vi.useRealTimers());
afterAll(() => wire.close());

const lease = (onCrash: "fail" | "rerun"): RouteIdempotencyOptions => ({
  strategy: "lease",
  lease: { durationMs: LEASE_MS, onCrash },
});

describe("a line to the database that goes silent while a handler runs", () => {
  it.each<[string, RouteIdempotencyOptions, number]>([
    ["advisory", { strategy: "advisory" }, 201],
    ["unique", { strategy: "unique" }, 201],
    ["row", { strategy: "row" }, 201],
    ["lease", lease("fail"), 500],
  ])(
    "%s: 503 when our own time is over, and one effect, whichever server is asked then",
    async (_strategy, options, settled) => {
      const gate = createGate();
      await withServers(options, gate, async (cutOff, other) => {
        const key = crypto.randomUUID();
        const first = pay(cutOff, key);
        await gate.reached;
        const heal = wire.cut();
        vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
        gate.open();
        const { statusCode, json } = await hurry(first);
        vi.useRealTimers();
        expect([statusCode, json().code]).toEqual([503, "idempotency_unavailable"]);
        const retry = await untilSettled(() => pay(other, key));
        expect(retry.statusCode).toBe(settled);
        heal();
        await expect.poll(async () => (await pay(cutOff, key)).body).toBe(retry.body);
        expect(await effects(key)).toBe(1);
      });
    },
  );

  it("a lease's handler goes on; its store arrives too late and returns the other owner's answer", async () => {
    const gate = createGate();
    await withServers(lease("rerun"), gate, async (cutOff, other) => {
      const key = crypto.randomUUID();
      const first = pay(cutOff, key);
      await gate.reached;
      const heal = wire.cut();
      const second = untilSettled(() => pay(other, key));
      await expect.poll(gate.passed).toBe(2);
      gate.open();
      const stored = await second;
      heal();
      expect([(await first).body, (await first).headers["idempotent-replayed"]]).toEqual([
        stored.body,
        "true",
      ]);
      // One of each attempt: what a lease does outside of the database cannot be fenced.
      expect(await effects(key)).toBe(2);
    });
  });
});

/** Two servers: one whose line to the database can be cut, and one beside it. */
async function withServers(
  options: RouteIdempotencyOptions,
  gate: Gate,
  use: (cutOff: FastifyInstance, other: FastifyInstance) => Promise<void>,
): Promise<void> {
  const apps = await Promise.all([far, pool].map((own) => createServer(own, options, gate)));
  const [cutOff, other] = apps;
  try {
    if (cutOff !== undefined && other !== undefined) await use(cutOff, other);
  } finally {
    await Promise.all(apps.map((app) => app.close()));
  }
}

async function createServer(
  own: pg.Pool,
  options: RouteIdempotencyOptions,
  gate: Gate,
): Promise<FastifyInstance> {
  const app = Fastify();
  await app.register(idempotency, {
    pool: own,
    scope: "single-tenant",
    sweep: false,
    replayCache: false,
    waitMs: 50,
  });
  app.post("/pay", { config: { idempotency: options } }, async (request, reply) => {
    const { key } = request.idempotency;
    // The world outside is not behind the line.
    const db = options.strategy === "lease" ? pool : request.idempotency.tx;
    await db.query("insert into effects values ($1)", [key]);
    await gate.pass();
    return reply.code(201).send({ paid: crypto.randomUUID() });
  });
  return app;
}

type Response = Awaited<ReturnType<typeof pay>>;

function pay(app: FastifyInstance, key: string) {
  return app.inject({ method: "POST", url: "/pay", headers: { "idempotency-key": key } });
}

/** Lets the time of the process go by, as much as it takes until the answer is there: nothing else ends the wait for it. */
async function hurry(answer: Promise<Response>): Promise<Response> {
  let isThere = false;
  void answer.finally(() => {
    isThere = true;
  });
  while (!isThere) {
    await vi.advanceTimersByTimeAsync(1_000);
    await new Promise(setImmediate);
  }
  return answer;
}

/** Until Postgres has ended the silent transaction, or the lease is over. */
async function untilSettled(ask: () => Promise<Response>): Promise<Response> {
  for (;;) {
    const answer = await ask();
    if (answer.statusCode !== 409) return answer;
  }
}

async function effects(key: string): Promise<number | null> {
  return (await pool.query("select from effects where key = $1", [key])).rowCount;
}

import { idempotency, transactional } from "@oncekey/server";
import type { IdempotencyOptions } from "@oncekey/server";
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { countPayments, createPayments } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await createPayments(pool);
});

const INSERT = "insert into payments (amount) values (1)";
const protect = { config: { idempotency: true } };

interface Line {
  readonly level: number;
  readonly msg: string;
  readonly stack?: string;
}

interface Logged {
  readonly post: (url: string, key?: string) => Promise<number>;
  /** The warnings and errors so far. */
  readonly warnings: () => Line[];
}

async function withLog(
  options: Partial<IdempotencyOptions>,
  routes: (app: FastifyInstance) => unknown,
  use: (logged: Logged) => Promise<void>,
): Promise<void> {
  const lines: Line[] = [];
  const stream = { write: (line: string) => void lines.push(JSON.parse(line) as Line) };
  const app = Fastify({ logger: { stream } });
  await app.register(idempotency, { pool, scope: "single-tenant", sweep: false, ...options });
  try {
    routes(app);
    await use({
      post: async (url, key = crypto.randomUUID()) =>
        (await app.inject({ method: "POST", url, headers: { "idempotency-key": key } })).statusCode,
      warnings: () => lines.filter(({ level, msg }) => level >= 40 && /pool|tx/.test(msg)),
    });
  } finally {
    await app.close();
  }
}

/** A repository far from the request, as the stack of the warning has to show. */
function insertThroughPool(): Promise<unknown> {
  return pool.query(INSERT);
}

describe("outsideWrites", () => {
  it("'warn' logs a handler's use of the lent pool once per route, with the stack", async () => {
    await withLog(
      {},
      (app) => {
        const handler = async (request: { idempotency: { tx: pg.PoolClient } }) => {
          await request.idempotency.tx.query("select 1");
          await insertThroughPool();
          return "done";
        };
        app.post("/one", protect, handler);
        app.post("/two", protect, handler);
      },
      async ({ post, warnings }) => {
        for (const url of ["/one", "/one", "/two"]) expect(await post(url)).toBe(200);
        expect(warnings()).toHaveLength(2);
        expect(warnings()[0]?.msg).toContain("what it writes there is not in the commit");
        expect(warnings()[0]?.stack).toContain("insertThroughPool");
      },
    );
  });

  it.each<[string, () => Promise<unknown>]>([
    ["pool.query", () => pool.query(INSERT)],
    ["pool.connect", () => pool.connect()],
    [
      "a callback",
      () =>
        new Promise((resolve, reject) => {
          pool.query(INSERT, (error: unknown, result: unknown) =>
            error ? reject(error) : resolve(result),
          );
        }),
    ],
  ])("'refuse' fails the use and writes nothing: %s", async (_name, use) => {
    await withLog(
      { outsideWrites: "refuse" },
      (app) => app.post("/pay", protect, use),
      async ({ post }) => {
        const before = await countPayments(pool);
        expect(await post("/pay")).toBe(500);
        expect(await countPayments(pool)).toBe(before);
      },
    );
  });

  it("'allow' logs nothing, not even for an unused transaction", async () => {
    await withLog(
      { outsideWrites: "allow" },
      (app) => app.post("/pay", protect, async () => (await pool.query(INSERT)).command),
      async ({ post, warnings }) => {
        expect(await post("/pay")).toBe(200);
        expect(warnings()).toEqual([]);
      },
    );
  });

  it("leaves use outside of handlers alone: hooks, plain routes, lease routes, app.idempotency", async () => {
    const lease = { strategy: "lease", lease: { onCrash: "fail" } } as const;
    await withLog(
      { outsideWrites: "refuse" },
      (app) => {
        app.addHook("preHandler", async () => void (await pool.query(INSERT)));
        app.addHook("onSend", async () => void (await pool.query(INSERT)));
        app.post("/plain", async () => (await pool.query(INSERT)).command);
        const charge = async () => (await pool.query(INSERT)).command;
        app.post("/charge", { config: { idempotency: lease } }, charge);
        app.post("/sent", protect, async (request, reply) => {
          await request.idempotency.tx.query(INSERT);
          await app.idempotency.lookup({ key: "k", scope: "single-tenant" });
          return reply.send("done");
        });
      },
      async ({ post, warnings }) => {
        for (const url of ["/plain", "/charge", "/sent"]) expect(await post(url)).toBe(200);
        expect(warnings()).toEqual([]);
      },
    );
  });

  it("lets outside(fn) write through the pool, also a transactional one", async () => {
    const shared = transactional(pool);
    await withLog(
      { outsideWrites: "refuse" },
      (app) =>
        app.post("/pay", protect, async ({ idempotency: { outside, tx } }) => {
          await tx.query("select 1");
          await outside(async () => {
            await pool.query(INSERT);
            await shared.query(INSERT);
          });
          throw new Error("rolled back");
        }),
      async ({ post }) => {
        const before = await countPayments(pool);
        expect(await post("/pay")).toBe(500);
        expect(await countPayments(pool), "an audit row outlives the rollback").toBe(before + 2);
      },
    );
  });

  it("also watches pools that come with the request", async () => {
    const tenant = database.pool();
    await withLog(
      { pool: () => tenant, outsideWrites: "refuse" },
      (app) => app.post("/pay", protect, async () => tenant.query(INSERT)),
      async ({ post }) => expect(await post("/pay")).toBe(500),
    );
  });

  it("has no effect under lease and is refused there", async () => {
    const own = { strategy: "lease", lease: { onCrash: "fail" }, outsideWrites: "warn" } as const;
    const using = withLog(
      {},
      (app) => app.post("/pay", { config: { idempotency: own } }, async () => "done"),
      async () => {},
    );
    await expect(using).rejects.toThrow("POST /pay: option outsideWrites has no effect");
  });
});

describe("a stored 2xx whose handler never used tx", () => {
  it("is logged once per route, and no other answer is", async () => {
    await withLog(
      { required: false },
      (app) => {
        app.post("/unused", protect, async () => "done");
        app.post("/used", protect, async ({ idempotency: { tx } }) => {
          await tx.query(INSERT);
          return "done";
        });
        app.post("/declined", protect, async (_request, reply) => reply.code(402).send("declined"));
      },
      async ({ post, warnings }) => {
        const key = crypto.randomUUID();
        for (const url of ["/unused", "/unused", "/used", "/declined"]) await post(url, key);
        await post("/unused");
        expect(warnings().map(({ msg }) => msg.slice(0, 27))).toEqual([
          "a 2xx was stored and the ha",
        ]);
      },
    );
  });
});

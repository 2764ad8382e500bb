import { setImmediate as nextTurn } from "node:timers/promises";
import { Readable } from "node:stream";
import type { FastifyInstance, RouteHandlerMethod } from "fastify";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createGate } from "../support/gate.ts";
import { countPayments, createPayments, withShop } from "../support/shop.ts";
import type { Answer, ShopOptions } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await createPayments(pool);
});

interface Twice {
  readonly answers: readonly [Answer, Answer];
  readonly runs: number;
  readonly payments: number;
}

/** Sends the same request twice to a route whose handler pays first. */
async function twice(
  handler: RouteHandlerMethod,
  prepare: (app: FastifyInstance) => unknown = () => {},
  options: Omit<ShopOptions, "pool"> & { readonly handlerTimeout?: number } = {},
): Promise<Twice> {
  const { handlerTimeout, ...own } = options;
  const before = await countPayments(pool);
  const answers: Answer[] = [];
  let runs = 0;
  await withShop(
    { pool, ...own },
    (app) => {
      prepare(app);
      const route = { config: { idempotency: true }, ...(handlerTimeout && { handlerTimeout }) };
      app.post("/pay", route, async function (request, reply) {
        runs += 1;
        await request.idempotency.tx.query("insert into payments (amount) values (1)");
        return handler.call(this, request, reply);
      });
    },
    async ({ post }) => {
      const key = crypto.randomUUID();
      answers.push(await post("/pay", { key }), await post("/pay", { key }));
    },
  );
  const [first, again] = answers;
  if (first === undefined || again === undefined) throw new Error("two answers were expected");
  return { answers: [first, again], runs, payments: (await countPayments(pool)) - before };
}

function failure(statusCode: number): Error {
  return Object.assign(new Error("audit"), { statusCode });
}

function isReplay({ headers }: Answer): boolean {
  return headers.get("idempotent-replayed") === "true";
}

describe("a handler that fails while the stream it has sent is read", () => {
  /** A stream that ends one turn after the handler has failed. */
  function slow(): Readable {
    const body = new Readable({ read: () => {} });
    setImmediate(() => {
      body.push("made");
      body.push(null);
    });
    return body;
  }

  it("is answered by its error: a 5xx is not stored, and its writes are not kept", async () => {
    const { answers, runs, payments } = await twice(async (_request, reply) => {
      void reply.code(201).send(slow());
      throw failure(500);
    });
    for (const answer of answers) {
      expect(answer.status).toBe(500);
      expect(answer.json()).toMatchObject({ message: "audit" });
      expect(isReplay(answer)).toBe(false);
    }
    expect([runs, payments]).toEqual([2, 0]);
  });

  it("is answered by its error also where the stream never ends, which is closed", async () => {
    const streams: Readable[] = [];
    const { answers, payments } = await twice(async (_request, reply) => {
      const body = new Readable({ read: () => {} });
      streams.push(body);
      void reply.code(201).send(body);
      throw failure(500);
    });
    expect(answers.map(({ status }) => status)).toEqual([500, 500]);
    expect(streams.map(({ destroyed }) => destroyed)).toEqual([true, true]);
    expect(payments).toBe(0);
  });

  it("is answered by its error: a final 4xx is stored without its writes", async () => {
    const { answers, runs, payments } = await twice(async (_request, reply) => {
      void reply.code(201).send(slow());
      throw failure(402);
    });
    expect(answers.map(({ status, text }) => [status, text])).toEqual([
      [402, answers[0].text],
      [402, answers[0].text],
    ]);
    expect(answers[0].json()).toMatchObject({ message: "audit" });
    expect([isReplay(answers[1]), runs, payments]).toEqual([true, 1, 0]);
  });

  it("is answered by an error handler that takes longer than the stream", async () => {
    const gate = createGate();
    const { answers, runs, payments } = await twice(
      async (_request, reply) => {
        const body = slow();
        body.once("close", () => setImmediate(() => gate.open()));
        void reply.code(201).send(body);
        throw failure(500);
      },
      (app) =>
        app.setErrorHandler(async (_error, _request, reply) => {
          await gate.pass();
          return reply.code(422).send({ sorry: true });
        }),
    );
    expect(answers.map(({ status, text }) => [status, text])).toEqual([
      [422, '{"sorry":true}'],
      [422, '{"sorry":true}'],
    ]);
    expect([isReplay(answers[1]), runs, payments]).toEqual([true, 1, 0]);
  });

  it("is answered by Fastify's timeout of the handler, and nothing is kept", async () => {
    const { answers, runs, payments } = await twice(
      async (_request, reply) => reply.code(201).send(new Readable({ read: () => {} })),
      undefined,
      // Long enough for its handler to begin on a busy machine.
      { handlerTimeout: 1_000 },
    );
    expect(answers.map(({ status }) => status)).toEqual([503, 503]);
    expect([runs, payments]).toEqual([2, 0]);
  });
});

describe("a handler that fails while its response is being stored", () => {
  /** Waits until the transaction is being ended. */
  async function untilSealed({ tx }: { readonly tx: pg.PoolClient }): Promise<void> {
    for (;;) {
      try {
        tx.getTransactionStatus();
      } catch {
        return;
      }
      await nextTurn();
    }
  }

  const TEXT = "x".repeat(64);
  it.each<[string, unknown, string, number | undefined]>([
    ["JSON", { id: 1 }, "application/json; charset=utf-8", undefined],
    ["text", TEXT, "text/plain; charset=utf-8", undefined],
    ["a stream", () => Readable.from([TEXT]), "text/csv", undefined],
    ["a stream above the limit", () => Readable.from([TEXT]), "text/csv", 10],
  ])("comes too late: the caller gets what is stored, %s", async (_name, body, type, limit) => {
    const { answers, runs, payments } = await twice(
      async (request, reply) => {
        const { tx } = request.idempotency;
        const payload: unknown = typeof body === "function" ? body() : body;
        if (typeof body === "function") reply.type("text/csv");
        void reply.code(201).header("location", "/p/1").header("set-cookie", "a=1").send(payload);
        await untilSealed({ tx });
        throw Object.assign(failure(500), { headers: { "x-late": "1", "set-cookie": "b=2" } });
      },
      undefined,
      limit === undefined ? {} : { maxResponseBytes: limit },
    );
    const [first, again] = answers;
    expect(first.status).toBe(201);
    expect(first.text).toBe(typeof body === "object" ? '{"id":1}' : TEXT);
    const names = ["content-type", "location", "x-late"];
    expect(names.map((name) => first.headers.get(name))).toEqual([type, "/p/1", null]);
    expect(first.headers.getSetCookie()).toEqual(["a=1"]);
    if (limit === undefined) {
      expect([again.status, again.text, again.headers.get("content-type")]).toEqual([
        201,
        first.text,
        type,
      ]);
      expect(isReplay(again)).toBe(true);
    } else {
      expect(again.json()).toMatchObject({ status: 410, originalStatus: 201 });
    }
    expect([runs, payments]).toEqual([1, 1]);
  });

  it("keeps an answer that is not stored in one piece, too", async () => {
    const { answers, runs, payments } = await twice(async (request, reply) => {
      const { tx } = request.idempotency;
      void reply.code(409).send("busy");
      await untilSealed({ tx });
      throw failure(500);
    });
    expect(answers.map(({ status, text }) => [status, text])).toEqual([
      [409, "busy"],
      [409, "busy"],
    ]);
    expect([runs, payments]).toEqual([2, 0]);
  });

  it("comes too late with Fastify's timeout of the handler, too", async () => {
    await pool.query(`create function held() returns trigger language plpgsql as
      'begin perform pg_advisory_xact_lock(7); return null; end';
      create table slow (id int);
      create constraint trigger held after insert on slow deferrable initially deferred
      for each row execute function held()`);
    const holder = await pool.connect();
    try {
      // A transaction of its own: through a pooler, a lock of the session stays with a connection that others are lent.
      await holder.query("begin");
      await holder.query("select pg_advisory_xact_lock(7)");
      const { answers, runs, payments } = await twice(
        async (request, reply) => {
          const { signal } = request;
          signal.addEventListener("abort", () => void holder.query("rollback"));
          await request.idempotency.tx.query("insert into slow values (1)");
          return reply.code(201).send({ id: 1 });
        },
        undefined,
        { handlerTimeout: 1_000 },
      );
      expect(answers.map(({ status, text }) => [status, text])).toEqual([
        [201, '{"id":1}'],
        [201, '{"id":1}'],
      ]);
      expect([isReplay(answers[1]), runs, payments]).toEqual([true, 1, 1]);
    } finally {
      holder.release(true);
    }
  });
});

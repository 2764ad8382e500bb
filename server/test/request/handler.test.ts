import type { FastifyRequest, RouteHandlerMethod } from "fastify";
import type pg from "pg";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { countPayments, createPayments, withShop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
let runs = 0;
beforeAll(async () => {
  pool = database.pool();
  await createPayments(pool);
});
beforeEach(() => {
  runs = 0;
});

async function pay(request: FastifyRequest): Promise<void> {
  runs += 1;
  await request.idempotency.tx.query("insert into payments (amount) values (1)");
}

function failure(statusCode: number): Error {
  return Object.assign(new Error("declined"), { statusCode });
}

type Handler = RouteHandlerMethod;

const protect = { config: { idempotency: true } };

describe("a handler that fails", () => {
  it.each<[string, Handler, number, number, number]>([
    [
      "throws",
      async (request) => (await pay(request), Promise.reject(new Error("bug"))),
      500,
      2,
      0,
    ],
    [
      "answers 5xx",
      async (request, reply) => (await pay(request), reply.code(503).send("later")),
      503,
      2,
      0,
    ],
    [
      "answers 409, which is not final",
      async (request, reply) => (await pay(request), reply.code(409).send("busy")),
      409,
      2,
      0,
    ],
    [
      "throws a final 4xx",
      async (request) => (await pay(request), Promise.reject(failure(402))),
      402,
      1,
      0,
    ],
    [
      "sends an error with a final 4xx",
      async (request, reply) => (await pay(request), reply.send(failure(402))),
      402,
      1,
      0,
    ],
    [
      "replies a final 4xx",
      async (request, reply) => (await pay(request), reply.code(402).send("declined")),
      402,
      1,
      1,
    ],
    [
      "throws before it returns",
      (request) => ((runs += 1), void request.idempotency.key, fail()),
      402,
      1,
      0,
    ],
  ])("%s", async (_name, handler, status, expectedRuns, payments) => {
    await withShop(
      { pool },
      (app) => app.post("/pay", protect, handler),
      async ({ post }) => {
        const before = await countPayments(pool);
        const key = crypto.randomUUID();
        const answers = [await post("/pay", { key }), await post("/pay", { key })];
        expect(answers.map((answer) => answer.status)).toEqual([status, status]);
        expect(answers[1]?.text).toBe(answers[0]?.text);
        expect(runs).toBe(expectedRuns);
        expect((await countPayments(pool)) - before).toBe(payments);
      },
    );
  });

  function fail(): never {
    throw failure(402);
  }

  it("under an error handler of the application that answers for it: nothing of its writes is kept, the answer is", async () => {
    await withShop(
      { pool },
      (app) => {
        app.setErrorHandler((_error, _request, reply) => reply.code(422).send({ sorry: true }));
        app.post(
          "/pay",
          protect,
          async (request) => (await pay(request), Promise.reject(new Error("bug"))),
        );
      },
      async ({ post }) => {
        const before = await countPayments(pool);
        const answers = [
          await post("/pay", { key: "handled" }),
          await post("/pay", { key: "handled" }),
        ];
        expect(answers.map((answer) => [answer.status, answer.text])).toEqual(
          Array.from({ length: 2 }, () => [422, '{"sorry":true}']),
        );
        expect([runs, (await countPayments(pool)) - before]).toEqual([1, 0]);
      },
    );
  });

  it.each<[string, () => unknown]>([
    [
      "throws",
      () => {
        throw new Error("option");
      },
    ],
    ["answers with a promise", async () => false],
    ["answers with a promise that fails", async () => Promise.reject(new Error("option"))],
    ["answers with nothing", () => undefined],
  ])("in its option storeStatus, which %s, keeps nothing and holds nothing", async (_, option) => {
    await withShop(
      { pool, storeStatus: option as () => boolean },
      (app) =>
        app.post("/pay", protect, async (request, reply) => {
          await pay(request);
          return reply.code(402).send("declined");
        }),
      async ({ post }) => {
        const before = await countPayments(pool);
        const key = crypto.randomUUID();
        expect((await post("/pay", { key })).status).toBe(500);
        expect((await post("/pay", { key })).status).toBe(500);
        expect([runs, (await countPayments(pool)) - before]).toEqual([2, 0]);
      },
    );
  });

  it.each(["caught", undefined])(
    "with an SQL error that it answers with a final 4xx is answered so, without its writes: key %s",
    async (key) => {
      await withShop(
        { pool, required: false },
        (app) =>
          app.post("/pay", protect, async (request, reply) => {
            await pay(request);
            await request.idempotency.tx.query("select 1 / 0").catch(() => {});
            return reply.code(422).send("refused");
          }),
        async ({ post }) => {
          const before = await countPayments(pool);
          const answer = await post("/pay", { key });
          expect([answer.status, answer.text]).toEqual([422, "refused"]);
          expect(await countPayments(pool)).toBe(before);
        },
      );
    },
  );

  it("with an SQL error that it hides behind a success is refused, because nothing was committed", async () => {
    await withShop(
      { pool },
      (app) =>
        app.post("/pay", protect, async (request) => {
          await pay(request);
          await request.idempotency.tx.query("select 1 / 0").catch(() => {});
          return "fine";
        }),
      async ({ post }) => {
        const before = await countPayments(pool);
        const answer = await post("/pay", { key: "hidden" });
        expect(answer.status).toBe(500);
        expect(answer.json()["retryable"]).not.toBe(true);
        expect(await countPayments(pool)).toBe(before);
      },
    );
  });
});

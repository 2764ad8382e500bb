import net from "node:net";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type pg from "pg";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { withDatabase } from "../../e2e/support/database.ts";
import { createGate } from "./support/gate.ts";
import { countPayments, createPayments, withShop } from "./support/shop.ts";

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

type Handler = Parameters<FastifyInstance["post"]>[2];

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
          Array(2).fill([422, '{"sorry":true}']),
        );
        expect([runs, (await countPayments(pool)) - before]).toEqual([1, 0]);
      },
    );
  });

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
        expect(answer.status).toBe(503);
        expect(answer.json()).toMatchObject({ code: "idempotency_unavailable" });
        expect(await countPayments(pool)).toBe(before);
      },
    );
  });
});

describe("a caller that hangs up while the handler runs", () => {
  it.each<[string, (request: FastifyRequest) => Promise<unknown>]>([
    ["with a body", async () => ({ paid: true })],
    ["without one", async () => undefined],
  ])("changes nothing: the payment and its response are kept, %s", async (name, answer) => {
    const gate = createGate();
    await withShop(
      { pool },
      (app) =>
        app.post("/pay", protect, async (request) => {
          await pay(request);
          await gate.pass();
          return answer(request);
        }),
      async ({ app, post }) => {
        const key = `hang-up-${name.replaceAll(" ", "-")}`;
        const before = await countPayments(pool);
        const { port } = app.server.address() as net.AddressInfo;
        const socket = net.connect(port, "127.0.0.1");
        socket.write(
          `POST /pay HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nidempotency-key: ${key}\r\n\r\n`,
        );
        await gate.reached;
        socket.destroy();
        await new Promise((resolve) => setTimeout(resolve, 20));
        gate.open();
        const again = await post("/pay", { key });
        expect(again.status).toBe(200);
        expect(again.headers.get("idempotent-replayed")).toBe("true");
        expect([runs, (await countPayments(pool)) - before]).toEqual([1, 1]);
      },
    );
  });
});

describe("a handler that answers by itself", () => {
  it.each<[string, Handler]>([
    [
      "a hijacked reply",
      async (request, reply) => (await pay(request), reply.hijack(), void reply.raw.end("raw")),
    ],
    ["a raw reply", async (request, reply) => (await pay(request), void reply.raw.end("raw"))],
  ])("keeps nothing and frees the key when its socket closes: %s", async (name, handler) => {
    await withShop(
      { pool },
      (app) => app.post("/pay", protect, handler),
      async ({ post }) => {
        const before = await countPayments(pool);
        const key = name.replaceAll(" ", "-");
        const answers = [await post("/pay", { key }), await post("/pay", { key })];
        expect(answers.map((answer) => answer.text)).toEqual(["raw", "raw"]);
        expect([runs, (await countPayments(pool)) - before]).toEqual([2, 0]);
      },
    );
  });

  it("also where the caller had gone before it took the reply over", async () => {
    const gate = createGate();
    await withShop(
      { pool },
      (app) =>
        app.post("/pay", protect, async (request, reply) => {
          await pay(request);
          await gate.pass();
          reply.hijack();
        }),
      async ({ app }) => {
        const before = await countPayments(pool);
        const { port } = app.server.address() as net.AddressInfo;
        const socket = net.connect(port, "127.0.0.1");
        socket.write(
          "POST /pay HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nidempotency-key: gone\r\n\r\n",
        );
        await gate.reached;
        socket.destroy();
        await new Promise((resolve) => setTimeout(resolve, 20));
        gate.open();
        while (pool.totalCount > pool.idleCount)
          await new Promise((resolve) => setTimeout(resolve, 5));
        expect(await countPayments(pool)).toBe(before);
      },
    );
  });

  it("cannot write through its transaction after its time was up", async () => {
    const late = Promise.withResolvers<unknown>();
    await withShop(
      { pool },
      (app) =>
        app.post("/pay", { ...protect, handlerTimeout: 20 }, async (request) => {
          await pay(request);
          await new Promise((resolve) => setTimeout(resolve, 50));
          await pay(request).catch(late.resolve);
        }),
      async ({ post }) => {
        const before = await countPayments(pool);
        expect((await post("/pay", { key: "late" })).status).toBe(503);
        expect(String(await late.promise)).toContain("after its transaction had ended");
        expect(await countPayments(pool)).toBe(before);
      },
    );
  });
});

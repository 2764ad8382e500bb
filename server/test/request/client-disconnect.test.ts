import net from "node:net";
import type { FastifyInstance, FastifyRequest, RouteHandlerMethod } from "fastify";
import type pg from "pg";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { until } from "@oncekey/test-support/processes/deadline";
import { watchCallers } from "../support/callers.ts";
import type { Callers } from "../support/callers.ts";
import { createGate } from "../support/gate.ts";
import { countPayments, createPayments, withShop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
let runs = 0;
let callers: Callers;
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

function payRaw(app: FastifyInstance, key: string): net.Socket {
  const { port } = app.server.address() as net.AddressInfo;
  const socket = net.connect(port, "127.0.0.1");
  socket.write(
    `POST /pay HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nidempotency-key: ${key}\r\n\r\n`,
  );
  return socket;
}

type Handler = RouteHandlerMethod;

const protect = { config: { idempotency: true } };

describe("a caller that hangs up while the handler runs", () => {
  it.each<[string, RouteHandlerMethod, { runs: number; isReplayed: boolean }]>([
    ["returns a body", async () => ({ paid: true }), { runs: 1, isReplayed: true }],
    ["sends nothing", async (_request, reply) => reply.send(), { runs: 1, isReplayed: true }],
    // An empty 200 by accident would report success to the caller.
    ["returns undefined", async () => undefined, { runs: 2, isReplayed: false }],
  ])("leaves one payment if the handler %s", async (name, answer, expected) => {
    const gate = createGate();
    await withShop(
      { pool },
      (app) => {
        callers = watchCallers(app);
        app.post("/pay", protect, async function (request, reply) {
          await pay(request);
          if (runs === 1) await gate.pass();
          return answer.call(this, request, reply);
        });
      },
      async ({ app, post }) => {
        const key = `hang-up-${name.replaceAll(" ", "-")}`;
        const before = await countPayments(pool);
        const socket = payRaw(app, key);
        await gate.reached;
        socket.destroy();
        await callers.gone(1);
        gate.open();
        // A retry that comes while the first still runs waits for it, and would get 409 if it failed.
        await expect.poll(() => pool.totalCount - pool.idleCount).toBe(0);
        const again = await post("/pay", { key });
        expect(again.status).toBe(200);
        const isReplayed = again.headers.has("idempotent-replayed");
        expect({ runs, isReplayed }).toEqual(expected);
        expect((await countPayments(pool)) - before).toBe(1);
      },
    );
  });
});

describe("a caller that hangs up while a replay is on its way", () => {
  it("does not start the handler by it", async () => {
    const gate = createGate();
    let isSlow = false;
    await withShop(
      { pool },
      (app) => {
        callers = watchCallers(app);
        app.addHook("onSend", async () => {
          if (isSlow) await gate.pass();
        });
        app.post("/pay", protect, async () => {
          runs += 1;
          return "paid";
        });
      },
      async ({ app, post }) => {
        await post("/pay", { key: "replayed" });
        isSlow = true;
        const socket = payRaw(app, "replayed");
        await gate.reached;
        socket.destroy();
        await callers.gone(1);
        gate.open();
        isSlow = false;
        expect((await post("/pay", { key: "replayed" })).text).toBe("paid");
        expect(runs).toBe(1);
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
        expect((await post("/pay", { key })).text).toBe("raw");
        let again = await post("/pay", { key });
        // A duplicate that waits for the release does not run in its place.
        while (again.status === 409) again = await post("/pay", { key });
        expect(again.text).toBe("raw");
        expect([runs, (await countPayments(pool)) - before]).toEqual([2, 0]);
      },
    );
  });

  it("keeps nothing if the caller had gone before it took the reply over", async () => {
    const gate = createGate();
    await withShop(
      { pool },
      (app) => {
        callers = watchCallers(app);
        app.post("/pay", protect, async (request, reply) => {
          await pay(request);
          await gate.pass();
          reply.hijack();
        });
      },
      async ({ app }) => {
        const before = await countPayments(pool);
        const socket = payRaw(app, "gone");
        await gate.reached;
        socket.destroy();
        await callers.gone(1);
        gate.open();
        await until(() => pool.totalCount === pool.idleCount, { what: "the claim's connection" });
        expect(await countPayments(pool)).toBe(before);
      },
    );
  });

  it("cannot write through its transaction after its time was up", async () => {
    const late = Promise.withResolvers<unknown>();
    let isBegun = false;
    await withShop(
      { pool },
      (app) =>
        app.post("/pay", { ...protect, handlerTimeout: 1_000 }, async (request, reply) => {
          isBegun = true;
          try {
            await pay(request);
            await until(() => reply.sent, { what: "Fastify's timeout of the handler" });
            await pay(request);
          } catch (error) {
            late.resolve(error);
          }
        }),
      async ({ post }) => {
        const before = await countPayments(pool);
        // On a busy machine the time is up before the handler begins.
        for (let tries = 1; !isBegun; tries += 1)
          expect((await post("/pay", { key: `late-${tries}` })).status).toBe(503);
        expect(String(await late.promise)).toContain("after its transaction had ended");
        expect(await countPayments(pool)).toBe(before);
      },
    );
  });
});

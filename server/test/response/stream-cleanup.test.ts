/** Streams whose bytes are not sent to their end: whatever they come from is closed. */
import { once } from "node:events";
import http2 from "node:http2";
import net from "node:net";
import { Readable } from "node:stream";
import { idempotency as plugin } from "@oncekey/server";
import Fastify from "fastify";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { watchCallers } from "../support/callers.ts";
import { createGate } from "../support/gate.ts";
import { withShop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

const LIMIT = 10;

/** Bytes without end, always above the limit. */
function endless(): Readable {
  return new Readable({
    read() {
      this.push("x".repeat(LIMIT + 1));
    },
  });
}

/** The start of a body of which no more comes. */
function silent(told: { cancelled: boolean }): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start: (controller) => controller.enqueue(Buffer.from("x")),
    cancel: () => {
      told.cancelled = true;
    },
  });
}

type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>;

function route(handler: Handler): (app: FastifyInstance) => unknown {
  return (app) => app.post("/do", { config: { idempotency: true } }, handler);
}

const options = { maxResponseBytes: LIMIT, waitMs: 50 };

describe("the source of a stream above the limit is closed", () => {
  it.each<[string, Handler, number, string | undefined]>([
    [
      "nothing of the request is kept",
      async ({ idempotency }) => idempotency.tx.query("select 1 / 0").catch(() => {}),
      500,
      undefined,
    ],
    [
      "another request has finished first",
      async ({ idempotency }) =>
        pool.query(
          `insert into oncekey.records (key, scope, target, fingerprint, status, headers, body, created_at, expires_at)
           values ($1, 'single-tenant', 'POST /do', '\\x01', 200, '[]', 'first', now(), now() + interval '1 hour')`,
          [idempotency.key],
        ),
      200,
      "first",
    ],
  ])("where %s", async (_name, before, status, text) => {
    const source = endless();
    await withShop(
      { pool, ...options },
      route(async (request, reply) => {
        await before(request, reply);
        return reply.type("text/plain").send(source);
      }),
      async ({ post }) => {
        const answer = await post("/do", { key: crypto.randomUUID() });
        expect(answer.status).toBe(status);
        if (text !== undefined) expect(answer.text).toBe(text);
        expect(source.destroyed).toBe(true);
      },
    );
  });

  it.each<[string, () => { readonly body: unknown; readonly isClosed: () => boolean }]>([
    [
      "Node's",
      () => {
        const body = endless();
        return { body, isClosed: () => body.destroyed };
      },
    ],
    [
      "the web's",
      () => {
        const told = { cancelled: false };
        const body = new ReadableStream<Uint8Array>({
          pull: (controller) => controller.enqueue(Buffer.alloc(LIMIT + 1)),
          cancel: () => {
            told.cancelled = true;
          },
        });
        return { body, isClosed: () => told.cancelled };
      },
    ],
  ])("where the caller has hung up: %s", async (_name, make) => {
    const gate = createGate();
    const { body, isClosed } = make();
    await withShop(
      { pool, ...options },
      route(async (_request, reply) => {
        await gate.pass();
        return reply.send(body);
      }),
      async ({ app }) => {
        app.server.once("connection", (peer) => peer.once("close", () => gate.open()));
        const { port } = app.server.address() as net.AddressInfo;
        const socket = net.connect(port, "127.0.0.1");
        socket.write(
          `POST /do HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nidempotency-key: ${crypto.randomUUID()}\r\n\r\n`,
        );
        await gate.reached;
        socket.destroy();
        await expect.poll(isClosed).toBe(true);
      },
    );
  });
});

describe("the source of a stream that is not read to its end is closed", () => {
  it.each<[string, (body: ReadableStream<Uint8Array>) => unknown]>([
    ["a web stream", (body) => body],
    ["a web Response", (body) => new Response(body, { status: 201 })],
  ])("where the handler fails meanwhile: %s", async (_name, wrap) => {
    const told = { cancelled: false };
    await withShop(
      { pool },
      route(async (_request, reply) => {
        void reply.send(wrap(silent(told)));
        throw Object.assign(new Error("declined"), { statusCode: 402 });
      }),
      async ({ post }) => {
        expect((await post("/do", { key: crypto.randomUUID() })).status).toBe(402);
        await expect.poll(() => told.cancelled).toBe(true);
      },
    );
  });

  it("if a header of the reply cannot be sent", async () => {
    const source = endless();
    await withShop(
      { pool },
      route(async (_request, reply) => reply.header("location", "/a\r\nb: c").send(source)),
      async ({ post }) => {
        expect((await post("/do", { key: crypto.randomUUID() })).status).toBe(500);
        expect(source.destroyed).toBe(true);
      },
    );
  });
});

describe.each([
  ["HTTP/1.1", false],
  ["HTTP/2", true],
])("over %s, a stream above the limit whose caller hangs up", (_protocol, isHttp2) => {
  it.each(["before it begins", "while it is sent"])("is closed: %s", async (when) => {
    const app = (isHttp2 ? Fastify({ http2: true }) : Fastify()) as FastifyInstance;
    const gate = createGate();
    let left = 3;
    // Stalls above the limit, so that nothing but the hang-up ends it.
    const source = new Readable({
      read() {
        if (left > 0) this.push("x".repeat(LIMIT));
        left -= 1;
      },
    });
    await app.register(plugin, { pool, scope: "single-tenant", sweep: false, ...options });
    const callers = watchCallers(app);
    app.post("/do", { config: { idempotency: true } }, async (_request, reply) => {
      if (when === "before it begins") await gate.pass();
      return reply.send(source);
    });
    const url = new URL(await app.listen({ host: "127.0.0.1", port: 0 }));
    const key = crypto.randomUUID();
    const caller = isHttp2 ? callHttp2(url, key) : callHttp1(url, key);
    if (when === "before it begins") await gate.reached;
    else await caller.answered;
    caller.hangUp();
    await callers.gone(1);
    gate.open();
    await expect.poll(() => source.destroyed).toBe(true);
    caller.end();
    await app.close();
  });
});

interface Caller {
  readonly answered: Promise<unknown>;
  readonly hangUp: () => void;
  readonly end: () => void;
}

function callHttp1({ port }: URL, key: string): Caller {
  const socket = net.connect(Number(port), "127.0.0.1");
  socket.on("error", () => {});
  socket.write(
    `POST /do HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nidempotency-key: ${key}\r\n\r\n`,
  );
  return { answered: once(socket, "data"), hangUp: () => socket.destroy(), end: () => {} };
}

function callHttp2({ origin }: URL, key: string): Caller {
  const session = http2.connect(origin);
  const stream = session.request({ ":method": "POST", ":path": "/do", "idempotency-key": key });
  stream.on("error", () => {});
  return {
    answered: once(stream, "data"),
    hangUp: () => stream.close(http2.constants.NGHTTP2_CANCEL),
    end: () => session.destroy(),
  };
}

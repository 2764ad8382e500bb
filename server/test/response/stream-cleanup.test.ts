/** Streams whose bytes are not sent to their end: whatever they come from is closed. */
import net from "node:net";
import { Readable } from "node:stream";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
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

  it("where a header of the reply could not be sent", async () => {
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

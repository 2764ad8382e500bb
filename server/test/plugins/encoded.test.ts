import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { Readable } from "node:stream";
import compress from "@fastify/compress";
import fp from "fastify-plugin";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { PLACES, stored, withNeighbour } from "./with-plugin.ts";
import type { Add } from "./with-plugin.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

const BODY = JSON.stringify({ text: "the same words again ".repeat(200) });
const protect = { config: { idempotency: true } };
const READERS = [
  ["gzip", "identity"],
  ["identity", "gzip"],
] as const;

describe.each(PLACES)("a body that is encoded before ours sees it, %s", (place) => {
  it.each(READERS)(
    "by reply.compress in the handler: readable for whoever asks, %s first, then %s",
    async (...encodings) => {
      await withNeighbour(
        place,
        {
          options: { pool },
          neighbour: (app) => app.register(compress),
          routes: (app) =>
            app.post("/do", protect, (_request, reply) => {
              reply.type("application/json").compress(Readable.from([BODY]));
            }),
        },
        async ({ post }) => {
          const key = crypto.randomUUID();
          for (const encoding of encodings) {
            const answer = await post("/do", { key, headers: { "accept-encoding": encoding } });
            expect(answer.text).toBe(BODY);
          }
          expect((await stored(pool, key))?.body).toBe(BODY);
        },
      );
    },
  );

  it.each(READERS)(
    "by an onSend hook of the application: readable for whoever asks, %s first, then %s",
    async (...encodings) => {
      const neighbour: Add = (app) =>
        app.register(
          fp(
            async (child) =>
              void child.addHook("onSend", async (request, reply, payload) => {
                if (request.headers["accept-encoding"] !== "gzip") return payload;
                reply.header("content-encoding", "gzip");
                return gzipSync(String(payload));
              }),
          ),
        );
      await withNeighbour(
        place,
        {
          options: { pool },
          neighbour,
          routes: (app) =>
            app.post("/do", protect, async (_request, reply) =>
              reply.type("application/json").send(BODY),
            ),
        },
        async ({ post }) => {
          const key = crypto.randomUUID();
          for (const encoding of encodings) {
            const answer = await post("/do", { key, headers: { "accept-encoding": encoding } });
            expect(answer.text).toBe(BODY);
          }
          expect((await stored(pool, key))?.body).toBe(BODY);
        },
      );
    },
  );
});

describe("a handler that encodes its body itself", () => {
  it.each([
    ["gzip", gzipSync(BODY)],
    ["br", brotliCompressSync(BODY)],
    ["deflate", deflateSync(BODY)],
    ["zstd", zstdCompressSync(BODY)],
    ["gzip, br", brotliCompressSync(gzipSync(BODY))],
  ])("is stored as what it encoded, and readable at a replay: %s", async (encoding, bytes) => {
    await withNeighbour(
      "before ours",
      {
        options: { pool },
        neighbour: () => {},
        routes: (app) =>
          app.post("/do", protect, async (_request, reply) =>
            reply.type("application/json").header("content-encoding", encoding).send(bytes),
          ),
      },
      async ({ post }) => {
        const key = crypto.randomUUID();
        const [first, again] = [await post("/do", { key }), await post("/do", { key })];
        expect(first.headers.get("content-encoding")).toBe(encoding);
        expect([first.text, again.text]).toEqual([BODY, BODY]);
        expect(again.headers.get("idempotent-replayed")).toBe("true");
      },
    );
  });

  it("with an unknown encoding is done, and a repeat gets 410", async () => {
    await withNeighbour(
      "before ours",
      {
        options: { pool },
        neighbour: () => {},
        routes: (app) =>
          app.post("/do", protect, async (_request, reply) =>
            reply.header("content-encoding", "x-private").send("???"),
          ),
      },
      async ({ post }) => {
        const key = crypto.randomUUID();
        expect((await post("/do", { key })).text).toBe("???");
        const again = await post("/do", { key });
        expect(again.status).toBe(410);
        expect(again.json()["code"]).toBe("idempotency_response_not_stored");
      },
    );
  });
});

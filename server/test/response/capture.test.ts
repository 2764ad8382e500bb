import { Readable } from "node:stream";
import type { FastifyInstance, FastifyReply } from "fastify";
import { describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { withShop } from "../support/shop.ts";
import type { Answer } from "../support/shop.ts";

const database = withDatabase();
const MAX_RESPONSE_BYTES = 1_048_576;
const ALL_BYTES = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));

/** Returns the first answer, and the answer to a repeat. */
async function twice(
  handler: (reply: FastifyReply) => unknown,
  prepare: (app: FastifyInstance) => unknown = () => {},
  options: { storeHeaders?: string[] } = {},
): Promise<[Answer, Answer]> {
  const answers: Answer[] = [];
  await withShop(
    { pool: database.pool(), ...options },
    async (app) => {
      await prepare(app);
      app.post("/do", { config: { idempotency: true } }, async (_request, reply) => handler(reply));
    },
    async ({ post }) => {
      const key = crypto.randomUUID();
      answers.push(await post("/do", { key }), await post("/do", { key }));
    },
  );
  const [first, again] = answers;
  if (first === undefined || again === undefined) throw new Error("two answers were expected");
  return [first, again];
}

describe("a stored response", () => {
  it.each<[string, (reply: FastifyReply) => unknown]>([
    ["JSON", () => ({ z: 1, a: [1e21, "é"] })],
    ["text", () => "plain é"],
    ["no body", (reply) => reply.code(204).send()],
    ["an empty text", (reply) => reply.type("text/plain").send("")],
    ["bytes", () => ALL_BYTES],
    ["a typed array", (reply) => reply.send(new Uint8Array(ALL_BYTES))],
    [
      "a stream",
      (reply) => reply.type("application/pdf").send(Readable.from([ALL_BYTES, ALL_BYTES])),
    ],
    ["a web stream", (reply) => reply.type("text/csv").send(new Blob(["a,b"]).stream())],
    [
      "a web Response",
      () =>
        new Response("made", {
          status: 202,
          headers: { "content-type": "text/x", location: "/r/1" },
        }),
    ],
    ["a redirect", (reply) => reply.redirect("/receipt", 303)],
    ["a final refusal", (reply) => reply.code(402).send({ error: "declined" })],
  ])("is replayed byte for byte: %s", async (_name, handler) => {
    const [first, again] = await twice(handler);
    expect(again.status).toBe(first.status);
    expect(again.bytes).toEqual(first.bytes);
    expect(
      first.status === 204 ||
        first.status === 303 ||
        first.bytes.length > 0 ||
        _name === "an empty text",
    ).toBe(true);
    for (const name of ["content-type", "location", "content-length"]) {
      expect(again.headers.get(name), name).toBe(first.headers.get(name));
    }
    expect(again.headers.get("idempotent-replayed")).toBe("true");
  });

  it("has the bytes of the handler if its text is in another charset than UTF-8", async () => {
    const csv = Buffer.from("crème;1", "latin1");
    for (const body of [() => csv, () => Readable.from([csv])]) {
      const [first, again] = await twice((reply) =>
        reply.type("text/csv; charset=iso-8859-1").send(body()),
      );
      expect([first.bytes, again.bytes]).toEqual([csv, csv]);
    }
  });

  it("keeps the headers of the list, several values included, and no others", async () => {
    const [first, again] = await twice((reply) =>
      reply
        .header("etag", '"1"')
        .header("link", ["</a>", "</b>"])
        .header("set-cookie", "session=secret")
        .header("x-request-id", "one")
        .send("done"),
    );
    expect(first.headers.get("set-cookie")).toBe("session=secret");
    expect(again.headers.get("etag")).toBe('"1"');
    expect(again.headers.get("link")).toBe("</a>, </b>");
    expect([again.headers.get("set-cookie"), again.headers.get("x-request-id")]).toEqual([
      null,
      null,
    ]);
  });

  it("replays three headers of one name as three", async () => {
    const [first, again] = await twice((reply) =>
      reply.header("link", ["</a>", "</b>", "</c>"]).send("done"),
    );
    expect(first.headers.get("link")).toBe("</a>, </b>, </c>");
    expect(again.headers.get("link")).toBe("</a>, </b>, </c>");
  });

  it("keeps the headers that storeHeaders names in place of the default ones", async () => {
    const [, again] = await twice(
      (reply) => reply.header("etag", '"1"').header("x-order", "7").send("done"),
      undefined,
      {
        storeHeaders: ["x-order"],
      },
    );
    expect([again.headers.get("x-order"), again.headers.get("etag")]).toEqual(["7", null]);
    expect(again.headers.get("content-type")).toBe("text/plain; charset=utf-8");
  });

  it("is complete when the handler sends without returning the reply", async () => {
    const [first, again] = await twice((reply) => void reply.code(201).send({ id: 1 }));
    expect([first.status, first.text]).toEqual([201, '{"id":1}']);
    expect(again.bytes).toEqual(first.bytes);
  });

  it("is what the handler has sent, whatever it sets afterwards", async () => {
    const [first, again] = await twice((reply) => {
      void reply.code(201).send({ id: 1 });
      void reply.code(500).header("x-late", "1");
      return reply;
    });
    expect([first.status, first.text, first.headers.get("x-late")]).toEqual([
      201,
      '{"id":1}',
      null,
    ]);
    expect(again.bytes).toEqual(first.bytes);
  });

  it.each<[string, (size: number) => unknown]>([
    ["text", (size) => "x".repeat(size)],
    ["text whose letters have two bytes", (size) => "é".repeat(size / 2)],
    [
      "a stream",
      (size) => Readable.from(Array.from({ length: size / 1024 }, () => Buffer.alloc(1024, "x"))),
    ],
    [
      "a stream that begins with nothing, several times",
      (size) => Readable.from(["", "", "", "", "", "", "x".repeat(size)]),
    ],
  ])(
    "above the limit is delivered whole, and a repeat is told that it was done: %s",
    async (_name, body) => {
      const size = MAX_RESPONSE_BYTES + 1024;
      const [first, again] = await twice((reply) =>
        reply.code(201).type("text/plain").send(body(size)),
      );
      expect([first.status, first.bytes.length]).toEqual([201, size]);
      expect(again.status).toBe(410);
      expect(again.json()).toMatchObject({
        code: "idempotency_response_not_stored",
        originalStatus: 201,
        retryable: false,
      });
      const [kept, replayed] = await twice((reply) =>
        reply.type("text/plain").send(body(MAX_RESPONSE_BYTES)),
      );
      expect(replayed.bytes.equals(kept.bytes)).toBe(true);
    },
  );

  it("is refused, and nothing kept, if it cannot be sent: a header with a line break, a stream that fails", async () => {
    const broken = new Readable({ read: () => {} });
    for (const handler of [
      (reply: FastifyReply) => reply.header("location", "/a\r\nset-cookie: x=1").send("done"),
      (reply: FastifyReply) => {
        setTimeout(() => broken.destroy(new Error("disk")), 5);
        return reply.send(broken);
      },
    ]) {
      const [first, again] = await twice(handler);
      expect([first.status, again.status]).toEqual([500, 500]);
      expect(again.headers.get("idempotent-replayed")).toBeNull();
      expect(first.headers.get("set-cookie")).toBeNull();
    }
  });
});

describe("an onSend hook that rewrites bodies", () => {
  const envelope = async (_request: unknown, _reply: unknown, payload: unknown) =>
    `{"data":${String(payload)}}`;

  it.each<[string, boolean]>([
    ["before", true],
    ["after", false],
  ])(
    "registered %s ours is applied once, on the first answer and on a replay",
    async (_name, isBefore) => {
      const Fastify = (await import("fastify")).default;
      const { idempotency } = await import("@oncekey/server");
      const app = Fastify();
      if (isBefore) app.addHook("onSend", envelope);
      await app.register(idempotency, { pool: database.pool(), scope: "single-tenant" });
      if (!isBefore) app.addHook("onSend", envelope);
      app.post("/do", { config: { idempotency: true } }, async () => ({ id: 1 }));
      const send = () =>
        app.inject({
          method: "POST",
          url: "/do",
          headers: { "idempotency-key": `envelope-${_name}` },
        });
      const answers = [await send(), await send()];
      await app.close();
      expect(answers.map(({ body }) => body)).toEqual(['{"data":{"id":1}}', '{"data":{"id":1}}']);
      expect(answers[1]?.headers["idempotent-replayed"]).toBe("true");
    },
  );

  it("gets text as a string and other bytes as bytes, on the first answer and on a replay", async () => {
    const kinds: string[] = [];
    await withShop(
      { pool: database.pool() },
      (app) => {
        app.addHook("onSend", async (_request, _reply, payload) => {
          kinds.push(Buffer.isBuffer(payload) ? "bytes" : typeof payload);
        });
        app.post("/text", { config: { idempotency: true } }, async (_request, reply) =>
          reply.type("text/csv").send(Buffer.from("a,b")),
        );
        app.post("/bytes", { config: { idempotency: true } }, async () => Buffer.from("a,b"));
      },
      async ({ post }) => {
        for (const path of ["/text", "/text", "/bytes", "/bytes"])
          await post(path, { key: "kind" });
      },
    );
    expect(kinds).toEqual(["string", "string", "bytes", "bytes"]);
  });

  it("that throws after ours leaves the stored response in place: the retry gets it", async () => {
    let isBroken = true;
    await withShop(
      { pool: database.pool() },
      (app) => {
        app.addHook("onSend", async () => {
          if (!isBroken) return;
          isBroken = false;
          throw new Error("hook");
        });
        app.post("/do", { config: { idempotency: true } }, async () => ({ id: 1 }));
      },
      async ({ post }) => {
        expect((await post("/do", { key: "thrown" })).status).toBe(500);
        const again = await post("/do", { key: "thrown" });
        expect([again.status, again.text, again.headers.get("idempotent-replayed")]).toEqual([
          200,
          '{"id":1}',
          "true",
        ]);
      },
    );
  });
});

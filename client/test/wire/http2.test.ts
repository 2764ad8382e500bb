import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { fetch as undiciFetch, H2CClient } from "undici";
import { describe, expect, it } from "vitest";
import { cart, createShop } from "../support/shop.ts";

type Reply = (stream: http2.ServerHttp2Stream, key: string) => void;

interface Seen {
  readonly key: string;
  readonly body: string;
}

const { NGHTTP2_INTERNAL_ERROR, NGHTTP2_REFUSED_STREAM } = http2.constants;

const answer =
  (status: number): Reply =>
  (stream, key) => {
    stream.respond({
      ":status": status,
      "content-type": "application/json",
      "idempotency-key": key,
    });
    stream.end('{"id":1}');
  };

/** Runs `use` against a server of HTTP/2 without TLS, with a `fetch` that supports nothing else. */
async function withHttp2(
  replies: readonly Reply[],
  use: (url: string, fetch: typeof globalThis.fetch, seen: readonly Seen[]) => Promise<void>,
): Promise<void> {
  const seen: Seen[] = [];
  const sessions = new Set<http2.ServerHttp2Session>();
  const server = http2.createServer();
  server.on("session", (session) => sessions.add(session));
  server.on("stream", (stream, headers) => {
    let body = "";
    stream.on("error", () => undefined);
    stream.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
    stream.on("end", () => {
      const key = String(headers["idempotency-key"]);
      seen.push({ key, body });
      replies[Math.min(seen.length, replies.length) - 1]?.(stream, key);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const dispatcher = new H2CClient(`http://127.0.0.1:${port}`);
  const fetch = ((url: string, init: object) =>
    undiciFetch(url, { ...init, dispatcher })) as unknown as typeof globalThis.fetch;
  try {
    await use(`http://127.0.0.1:${port}/api/`, fetch, seen);
  } finally {
    await dispatcher.destroy();
    for (const session of sessions) session.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

describe("over HTTP/2", () => {
  it.each<[string, Reply]>([
    ["a stream that is refused", (stream) => stream.close(NGHTTP2_REFUSED_STREAM)],
    ["a stream that is reset before the headers", (stream) => stream.close(NGHTTP2_INTERNAL_ERROR)],
    [
      "a stream that is reset in its body",
      (stream) => {
        stream.respond({ ":status": 201, "content-type": "application/json" });
        // Destroyed, and not closed: closing would end the body first.
        stream.write('{"id":', () => stream.destroy(new Error("the server fails")));
      },
    ],
    ["a connection that is gone", (stream) => stream.session?.destroy()],
    [
      "a connection that says goodbye and goes",
      (stream) => {
        stream.session?.goaway(NGHTTP2_INTERNAL_ERROR);
        stream.session?.destroy();
      },
    ],
    ["503", answer(503)],
  ])("%s is followed by the same key and the same bytes", async (_name, reply) => {
    await withHttp2([reply, answer(201)], async (url, fetch, seen) => {
      const result = await createShop(url, { ky: { fetch } }).order.run(cart);
      expect(result).toMatchObject({ kind: "done", attempts: 2, value: { id: 1 }, status: 201 });
      expect(seen).toEqual(
        Array.from({ length: 2 }, () => ({ key: result.key, body: '{"lines":["apple"]}' })),
      );
    });
  });

  it("a final refusal is not sent again", async () => {
    await withHttp2([answer(402)], async (url, fetch, seen) => {
      const result = await createShop(url, { ky: { fetch } }).order.run(cart);
      expect(result).toMatchObject({ kind: "rejected", attempts: 1, error: { status: 402 } });
      expect(seen).toHaveLength(1);
    });
  });
});

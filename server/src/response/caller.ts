/** The caller's end of a reply, over HTTP/1.1 and HTTP/2 alike. */
import type { FastifyReply, FastifyRequest } from "fastify";

/** Whether the caller has closed its connection, or its stream of one. */
export function hasHungUp({ raw: { socket } }: FastifyRequest, { raw }: FastifyReply): boolean {
  const stream = http2Stream(raw);
  return stream === undefined ? raw.closed || socket.destroyed : stream.closed || stream.destroyed;
}

/** Cuts a reply off that cannot be brought to an end. */
export function closeReply({ raw }: FastifyReply): void {
  (http2Stream(raw) ?? raw).destroy();
}

interface Http2Stream {
  readonly closed: boolean;
  readonly destroyed: boolean;
  destroy(): void;
}

function http2Stream(raw: FastifyReply["raw"]): Http2Stream | undefined {
  return "stream" in raw ? (raw.stream as Http2Stream) : undefined;
}

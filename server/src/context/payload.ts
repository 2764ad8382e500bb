/** Payloads of replies, whatever their type: a value, a stream, or a `Response`. */
import { Readable } from "node:stream";
import type { FastifyReply } from "fastify";

// By name, as Fastify does: a fetch library may bring a class of its own.
function isResponse(payload: unknown): payload is Response {
  return Object.prototype.toString.call(payload) === "[object Response]";
}

/**
 * Puts a web `Response` into the reply as Fastify would a moment later, so that its status and headers can be read here.
 * Any other payload comes back as it is.
 */
export function unwrap(reply: FastifyReply, payload: unknown): unknown {
  if (typeof payload === "string" || !isResponse(payload)) return payload;
  reply.code(payload.status);
  for (const [name, value] of payload.headers) reply.header(name, value);
  return payload.body ?? undefined;
}

/** Closes a payload that is not sent. */
export function discard(payload: unknown): void {
  const body = isResponse(payload) ? payload.body : payload;
  if (body instanceof Readable) body.destroy();
  else if (body instanceof ReadableStream) body.cancel().catch(() => {});
}

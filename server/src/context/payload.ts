/** Payloads of replies, whatever their type: a value, a stream, or a `Response`. */
import { Readable } from "node:stream";

// By name, as Fastify does: a fetch library may bring a class of its own.
export function isResponse(payload: unknown): payload is Response {
  return Object.prototype.toString.call(payload) === "[object Response]";
}

/** Closes a payload that is not sent. */
export function discard(payload: unknown): void {
  const body = isResponse(payload) ? payload.body : payload;
  if (body instanceof Readable) body.destroy();
  else if (body instanceof ReadableStream) body.cancel().catch(() => {});
}

/** Wraps a protected handler, so that no way of answering gets past the hook that stores the response. */
import type { FastifyReply, FastifyRequest, RouteHandlerMethod } from "fastify";
import { EXCHANGE } from "./exchange.ts";
import type { Exchange } from "./exchange.ts";

export function guardHandler(handler: RouteHandlerMethod): RouteHandlerMethod {
  return function guarded(request, reply) {
    const result: unknown = handler.call(this, request, reply);
    const exchange = request[EXCHANGE];
    if (exchange === null || !isPromise(result)) return result;
    return result.then((payload) => afterHandler(exchange, request, reply, payload));
  };
}

function afterHandler(
  exchange: Exchange,
  request: FastifyRequest,
  reply: FastifyReply,
  payload: unknown,
): unknown {
  if (payload !== undefined) return payload;
  // Sent in the handler without returning the reply, while its response is being stored: Fastify takes this for no answer
  // yet and would send an empty one. The reply stands for "wait until it is sent".
  if (exchange.sending !== "not-yet") return reply;
  if (reply.sent) {
    // Hijacked after the caller had gone: no close will come any more.
    if (reply.raw.closed) void releaseClaim(exchange);
    return undefined;
  }
  // Fastify sends no empty answer to a caller that has hung up, and the response would never be stored.
  if (request.raw.socket.destroyed) return reply.send();
  return undefined;
}

/** Takes the claim out of the exchange and gives its key free, where it is still there. */
export async function releaseClaim(exchange: Exchange): Promise<void> {
  const { claim } = exchange;
  exchange.claim = undefined;
  await claim?.release();
}

function isPromise(value: unknown): value is Promise<unknown> {
  return value instanceof Promise;
}

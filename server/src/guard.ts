/** Wraps a protected handler, so that no way of answering gets past the hook that stores the response. */
import type { FastifyReply, FastifyRequest, RouteHandlerMethod } from "fastify";
import { EXCHANGE } from "./exchange.ts";
import type { Exchange } from "./exchange.ts";

export function guardHandler(handler: RouteHandlerMethod): RouteHandlerMethod {
  return function guarded(request, reply) {
    const result: unknown = handler.call(this, request, reply);
    const exchange = request[EXCHANGE];
    if (exchange === null || result === reply || !isThenable(result)) return result;
    return Promise.resolve(result).then((payload) =>
      afterHandler(exchange, request, reply, payload),
    );
  };
}

function afterHandler(
  exchange: Exchange,
  request: FastifyRequest,
  reply: FastifyReply,
  payload: unknown,
): unknown {
  if (payload !== undefined) return payload;
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
  await claim?.release("failed");
}

// Fastify awaits whatever has a `then`, such as the query of a builder.
function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value;
}

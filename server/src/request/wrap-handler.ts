/** Wraps a protected handler: admission goes before it, and no way of answering gets past the hook that stores the response. */
import type { FastifyReply, FastifyRequest, RouteHandlerMethod } from "fastify";
import { EXCHANGE } from "../context/request-state.ts";
import type { Exchange } from "../context/request-state.ts";
import { digestKey } from "../telemetry/events.ts";

/** @param admit lets the handler run, or answers itself; `undefined` where the method is not protected. */
export function guardHandler(
  handler: RouteHandlerMethod,
  admit: (request: FastifyRequest, reply: FastifyReply) => Promise<"run" | "answered"> | undefined,
): RouteHandlerMethod {
  // In the handler and not in a hook before it: a plugin loaded after ours may still add hooks to the route, and what they
  // check has to be checked before a replay too.
  return async function guarded(request, reply) {
    // By what it says, not by `reply.sent`: that is still false where the caller hung up before the answer was written.
    if ((await admit(request, reply)) === "answered") return reply;
    const result: unknown = handler.call(this, request, reply);
    // A handler that sends from a callback: Fastify must wait for that, and a caller that hangs up must not end it.
    if (result === undefined) return new Promise<never>(() => {});
    const exchange = request[EXCHANGE];
    if (exchange === null || result === reply || !isThenable(result)) return result;
    return afterHandler(exchange, request, reply, await result);
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

/**
 * Keeps what comes too late from a caller whose answer is stored already, and only its bytes are not out yet: a handler that sends
 * or fails once more, and Fastify's timeout. An error of the hooks behind ours is sent: it is the stored answer that failed.
 */
export function refuseLateSends(
  exchange: Exchange,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const send = reply.send.bind(reply);
  reply.send = (payload?: unknown) => {
    const { sending, reading, status, key } = exchange;
    if (sending === "not-yet" || reading !== undefined || hasFailed(exchange) || reply.sent)
      return send(payload);
    if (status !== undefined && !reply.raw.headersSent) reply.code(status);
    // The empty one that Fastify adds where a handler sent without returning the reply says nothing new.
    if (payload === undefined) return reply;
    request.log.error(
      { keyDigest: digestKey(key), ...(payload instanceof Error && { err: payload }) },
      "the handler sent or failed once more when its answer was stored already; the first one is sent",
    );
    return reply;
  };
}

// Fastify tells its hooks of no second error of a request: behind a handler that had thrown, each is taken for one of what was sent.
function hasFailed({ failed, threw, sending }: Exchange): boolean {
  return failed || (threw && sending === "done");
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

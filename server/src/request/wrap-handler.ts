/** Wraps a protected handler: admission goes before it, and no way of answering gets past the hook that stores the response. */
import type { FastifyReply, FastifyRequest, RouteHandlerMethod } from "fastify";
import { leaveScope } from "../context/handler-scope.ts";
import { RequestState, STATE } from "../context/request-state.ts";
import type { Engine } from "../backend/backend.ts";
import type { RouteOptions } from "../options/options.ts";
import { admit } from "./admit.ts";
import { hasHungUp } from "../response/caller.ts";
import { digestKey } from "../telemetry/key-digest.ts";

/** A route with its options, and the records that its requests ask for. */
export interface ProtectedRoute {
  /** The methods of the route that are protected. */
  readonly methods: ReadonlySet<string>;
  readonly options: RouteOptions;
  readonly engine: Engine;
}

export function wrapHandler(
  handler: RouteHandlerMethod,
  { methods, options, engine }: ProtectedRoute,
): RouteHandlerMethod {
  // Admission runs in the handler and not in a hook: a plugin loaded after ours may still add hooks
  // to the route. Their checks have to pass before a replay too.
  return function protectedHandler(request, reply) {
    if (!methods.has(request.method)) return handler.call(this, request, reply);
    const state = new RequestState(options);
    request[STATE] = state;
    const own = handler.bind(this, request, reply);
    const admitted = admit(engine, state, request, reply);
    // A replay from the process, or a refusal: it is sent, and nothing is to be awaited.
    if (admitted === "answered") return undefined;
    if (!(admitted instanceof Promise)) return runHandler(own, state, request, reply);
    // The result decides, not `reply.sent`: that is still false if the caller hung up before the
    // answer was written.
    return admitted.then((how) =>
      how === "answered" ? reply : runHandler(own, state, request, reply),
    );
  };
}

async function runHandler(
  handler: () => unknown,
  state: RequestState,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  ignoreLateReplies(state, request, reply);
  const { scope } = state;
  const result: unknown = scope === undefined ? handler() : scope.run(handler);
  // A handler that sends from a callback: Fastify must wait for that, and a caller that hangs up must not end it.
  if (result === undefined) return new Promise<never>(() => {});
  if (result === reply || !isThenable(result)) return result;
  return afterHandler(state, request, reply, await result);
}

function afterHandler(
  state: RequestState,
  request: FastifyRequest,
  reply: FastifyReply,
  payload: unknown,
): unknown {
  if (payload !== undefined) return payload;
  if (reply.sent) {
    // Hijacked after the caller had gone: no close will come any more.
    if (hasHungUp(request, reply)) void state.reply.release();
    return undefined;
  }
  if (!state.reply.isHeld || !hasHungUp(request, reply)) return undefined;
  // Fastify sends nothing to a caller that has hung up. A handler that gave up has no answer either: an empty 200 would be a lie.
  request.log.warn(
    { keyDigest: digestKey(state.ticket?.key) },
    "the handler returned nothing after its caller had hung up: nothing is stored, and a retry runs it again",
  );
  void state.reply.release();
  return undefined;
}

/**
 * Ignores late replies while the bytes of a stored answer are not out yet: a handler that sends or
 * fails again, and Fastify's timeout. An error of the hooks behind ours is sent, because then the
 * stored answer itself failed.
 */
function ignoreLateReplies(
  state: RequestState,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  // Hooks behind the handler run outside of it, whether it sends the reply or returns it.
  const original = reply.send.bind(reply);
  state.answerExpired = (payload) => void leaveScope(original.bind(undefined, payload));
  reply.send = (payload?: unknown) => {
    if (!state.reply.isTooLate || reply.sent) return leaveScope(original.bind(undefined, payload));
    const { status } = state.reply;
    if (status !== undefined && !reply.raw.headersSent) reply.code(status);
    // Fastify adds an empty payload if a handler sent without returning the reply. It changes
    // nothing.
    if (payload === undefined) return reply;
    request.log.error(
      {
        keyDigest: digestKey(state.ticket?.key),
        ...(payload instanceof Error && { err: payload }),
      },
      state.reply.isExpired
        ? "the handler sent or failed after maxHandlerMs; its reply is dropped"
        : "the handler sent or failed once more when its answer was stored already; the first one is sent",
    );
    return reply;
  };
}

// Fastify awaits whatever has a `then`, such as the query of a builder.
function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value;
}

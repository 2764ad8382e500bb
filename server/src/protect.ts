/** Protects a route: which options it has, and where our hooks go on it. */
import type {
  FastifyReply,
  FastifyRequest,
  preHandlerAsyncHookHandler,
  RouteOptions as FastifyRoute,
} from "fastify";
import { EXCHANGE } from "./exchange.ts";
import { guardHandler } from "./guard.ts";
import type { RouteIdempotencyOptions } from "./options.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /** `true` protects the route with the options of the registration; an object protects it with some of its own. */
    idempotency?: boolean | RouteIdempotencyOptions;
    [ARMED]?: true;
  }
}

const ARMED: unique symbol = Symbol("oncekey.armed");

// Methods without effects (RFC 9110 §9.2.1): a key on them protects nothing, and a stored answer would grow stale.
const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);

/**
 * What a route says in `config.idempotency`: its own options, or `undefined` where it is not to be protected.
 *
 * @throws TypeError if it is neither a boolean nor an object, or the route has a method without effects.
 */
export function ownOptions(route: FastifyRoute): RouteIdempotencyOptions | undefined {
  const own = route.config?.idempotency;
  if (own === undefined || own === false) return undefined;
  if (own !== true && (typeof own !== "object" || own === null)) {
    throw new TypeError(
      `${nameOf(route)}: config.idempotency must be true, false or an object of options`,
    );
  }
  if ([route.method].flat().some((method) => SAFE_METHODS.has(method))) {
    throw new TypeError(
      `${nameOf(route)}: config.idempotency is for methods with effects, not ${[route.method].flat().join(", ")}`,
    );
  }
  return own === true ? {} : own;
}

export function nameOf(route: FastifyRoute): string {
  return `${[route.method].flat().join(",")} ${route.url}`;
}

/** Puts our hooks on a route: after all of its own before the handler, so that authentication has run. */
export function arm(route: FastifyRoute, admit: preHandlerAsyncHookHandler): void {
  route.config = { ...route.config, [ARMED]: true };
  route.handler = guardHandler(route.handler);
  route.preHandler = [...[route.preHandler ?? []].flat(), admit];
  route.onError = [
    ...[route.onError ?? []].flat(),
    (request, _reply, _error, done) => {
      const exchange = request[EXCHANGE];
      if (exchange !== null) exchange.threw = true;
      done();
    },
  ];
}

// A route added before the plugin was loaded has passed `onRoute` by: it must not run unprotected without a word.
export function refuseUnarmed(
  request: FastifyRequest,
  _reply: FastifyReply,
  done: (error?: Error) => void,
): void {
  const { config } = request.routeOptions;
  if (!config?.idempotency || config[ARMED]) return done();
  done(
    new Error(
      "this route was added before the idempotency plugin was loaded: await app.register(idempotency, …) first",
    ),
  );
}

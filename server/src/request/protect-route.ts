/** Protects a route: which options it has, and where our hooks go on it. */
import type {
  FastifyReply,
  FastifyRequest,
  onRequestHookHandler,
  RouteOptions as FastifyRoute,
} from "fastify";
import { EXCHANGE } from "../context/request-state.ts";
import { guardHandler } from "./wrap-handler.ts";
import type { RouteIdempotencyOptions, RouteOptions } from "../options/options.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    [ARMED]?: PublicOptions;
  }
}

/** Under this symbol of its `config` a protected route has what callers may know of its options. */
export const ARMED: unique symbol = Symbol("oncekey.armed");

// Methods without effects (RFC 9110 §9.2.1): a key on them protects nothing, and a stored answer would grow stale.
const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);
// The methods that draft-ietf-httpapi-idempotency-key-header-07 §1 is for; PUT and DELETE can be repeated as they are.
const GLOBAL_METHODS: ReadonlySet<string> = new Set(["POST", "PATCH"]);

/** What decides how a route answers. Not its secrets: an application may print what is in a config. */
export type PublicOptions = Pick<
  RouteOptions,
  "required" | "mismatch" | "maxKeyAgeMs" | "strategy"
>;

/** What a route says of its protection. */
export interface Protection {
  readonly own: RouteIdempotencyOptions;
  /** A route may have several methods, of which some are not protected. */
  readonly covers: (method: string) => boolean;
}

/**
 * What a route says in `config.idempotency`, or where it says nothing the registration's `global`. `undefined`: not protected.
 *
 * @throws TypeError if it is neither a boolean nor an object, or the route has no method with effects.
 */
export function protectionOf(route: FastifyRoute, isGlobal: boolean): Protection | undefined {
  const own = route.config?.idempotency;
  const methods = methodsOf(route);
  if (own === undefined) {
    const isCovered = isGlobal && methods.some((method) => GLOBAL_METHODS.has(method));
    return isCovered ? { own: {}, covers: (method) => GLOBAL_METHODS.has(method) } : undefined;
  }
  if (own === false) return undefined;
  if (own !== true && (typeof own !== "object" || own === null)) {
    throw new TypeError(
      `${nameOf(route)}: config.idempotency must be true, false or an object of options`,
    );
  }
  if (methods.every((method) => SAFE_METHODS.has(method))) {
    throw new TypeError(
      `${nameOf(route)}: config.idempotency is for methods with effects, not ${methods.join(", ")}`,
    );
  }
  return { own: own === true ? {} : own, covers: (method) => !SAFE_METHODS.has(method) };
}

/** Method and path, for messages. */
export function nameOf(route: FastifyRoute): string {
  return `${methodsOf(route).join(",")} ${route.url}`;
}

function methodsOf(route: FastifyRoute): string[] {
  return [route.method].flat();
}

/** Puts us on a route: between all of its hooks and the handler, so that authentication has run. */
export function arm(
  route: FastifyRoute,
  { covers, options }: Pick<Protection, "covers"> & { readonly options: RouteOptions },
  admit: (request: FastifyRequest, reply: FastifyReply) => Promise<"run" | "answered">,
): void {
  const { required, mismatch, maxKeyAgeMs, strategy } = options;
  route.config = { ...route.config, [ARMED]: { required, mismatch, maxKeyAgeMs, strategy } };
  route.handler = guardHandler(route.handler, (request, reply) =>
    covers(request.method) ? admit(request, reply) : undefined,
  );
  route.onError = [
    ...[route.onError ?? []].flat(),
    (request, _reply, _error, done) => {
      const exchange = request[EXCHANGE];
      if (exchange !== null) {
        exchange.threw = true;
        if (exchange.sending === "done") exchange.failed = true;
      }
      done();
    },
  ];
}

// A route added before the plugin was loaded has passed `onRoute` by: it must not run unprotected without a word. This hook
// reaches it, also in a scope that is older than the plugin: Fastify adds hooks to the children that are there.
export function refuseUnarmed(isGlobal: boolean): onRequestHookHandler {
  return ({ routeOptions, method, is404 }, _reply, done) => {
    const { config } = routeOptions;
    const asks = config?.idempotency ?? (isGlobal && !is404 && GLOBAL_METHODS.has(method));
    if (asks === false || config?.[ARMED]) return done();
    done(
      new Error(
        "this route was added before the idempotency plugin was loaded: await app.register(idempotency, …) first",
      ),
    );
  };
}

/** Protects a route: reads its options, and adds our hooks. */
import type { FastifyInstance, onRequestHookHandler, RouteOptions as FastifyRoute } from "fastify";
import { STATE } from "../context/request-state.ts";
import { ARRIVAL_READER, createArrivalReader } from "./arrival.ts";
import { wrapHandler } from "./wrap-handler.ts";
import type { ProtectedRoute } from "./wrap-handler.ts";
import type { PoolOption, RouteIdempotencyOptions, RouteOptions } from "../options/options.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    [PROTECTED]?: PublicOptions;
  }
  interface FastifyInstance {
    readonly [REGISTRATION]?: Registration;
  }
}

/** Symbol in the `config` of a protected route that holds its public options. */
export const PROTECTED: unique symbol = Symbol("oncekey.protected");

/**
 * Symbol on a Fastify instance that holds its registration. A nested scope inherits it unless it
 * has its own.
 */
export const REGISTRATION: unique symbol = Symbol("oncekey.registration");

export interface Registration {
  readonly global: boolean;
  /** For pages that look at the records. */
  readonly pool: PoolOption;
  readonly schema: string;
}

// Methods without effects (RFC 9110 §9.2.1): a key on them protects nothing, and a stored answer would grow stale.
const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);
// The methods that draft-ietf-httpapi-idempotency-key-header-07 §1 is for; PUT and DELETE can be repeated as they are.
const GLOBAL_METHODS: ReadonlySet<string> = new Set(["POST", "PATCH"]);

/**
 * Options that decide how a route answers. They hold no secret: an application may print its
 * config.
 */
export type PublicOptions = Pick<
  RouteOptions,
  "required" | "mismatch" | "maxKeyAgeMs" | "strategy"
>;

/** Protection of a route. */
export interface Protection {
  readonly own: RouteIdempotencyOptions;
  /** The methods of the route that are protected. */
  readonly methods: ReadonlySet<string>;
}

/**
 * Reads `config.idempotency` of a route, or if it is not set the registration's `global`. `undefined`: not protected.
 *
 * @throws TypeError if it is neither a boolean nor an object, or the route has no method with effects.
 */
export function protectionOf(route: FastifyRoute, isGlobal: boolean): Protection | undefined {
  const own = route.config?.idempotency;
  const methods = methodsOf(route);
  if (own === undefined) {
    const covered = methods.filter((method) => isGlobal && GLOBAL_METHODS.has(method));
    return covered.length > 0 ? { own: {}, methods: new Set(covered) } : undefined;
  }
  if (own === false || isHead(methods)) return undefined;
  if (own !== true && (typeof own !== "object" || own === null)) {
    throw new TypeError(
      `${nameOf(route)}: config.idempotency must be true, false or an object of options`,
    );
  }
  const covered = methods.filter((method) => !SAFE_METHODS.has(method));
  if (covered.length === 0) {
    throw new TypeError(
      `${nameOf(route)}: config.idempotency is for methods with effects, not ${methods.join(", ")}`,
    );
  }
  return { own: own === true ? {} : own, methods: new Set(covered) };
}

/** Returns method and path, for messages. */
export function nameOf(route: FastifyRoute): string {
  return `${methodsOf(route).join(",")} ${route.url}`;
}

function methodsOf(route: FastifyRoute): string[] {
  return [route.method].flat();
}

// Fastify adds a HEAD route with the same config beside each route that has GET.
function isHead(methods: readonly string[]): boolean {
  return methods.every((method) => method === "HEAD");
}

/** Puts admission between all hooks of a route and its handler, so that authentication has run. */
export function protectRoute(route: FastifyRoute, as: ProtectedRoute): void {
  const { options } = as;
  const { required, mismatch, maxKeyAgeMs, strategy } = options;
  route.config = {
    ...route.config,
    [PROTECTED]: { required, mismatch, maxKeyAgeMs, strategy },
    [ARRIVAL_READER]: createArrivalReader(route, options),
  };
  route.handler = wrapHandler(route.handler, as);
  route.onError = [
    ...[route.onError ?? []].flat(),
    (request, _reply, error, done) => {
      request[STATE]?.reply.fail(statusOf(error));
      done();
    },
  ];
}

/** Returns the status that Fastify answers a thrown error with. */
function statusOf(error: unknown): number {
  if (typeof error !== "object" || error === null) return 500;
  const { statusCode, status } = error as {
    readonly statusCode?: unknown;
    readonly status?: unknown;
  };
  const found = Number(statusCode || status);
  return found >= 400 ? found : 500;
}

/**
 * Refuses a route that asks for protection in a scope that the plugin does not reach, as the route is added. Called by an
 * `onRoute` hook of the root instance, which sees every route that is added after the plugin was loaded.
 */
export function rejectOutOfScope(scope: FastifyInstance, route: FastifyRoute): void {
  const own = route.config?.idempotency;
  if (own === undefined || own === false || isHead(methodsOf(route))) return;
  if (scope[REGISTRATION] !== undefined) return;
  throw new TypeError(`${nameOf(route)}: ${OUT_OF_SCOPE}`);
}

/**
 * Refuses requests to routes that ask for protection and have none, because they were added before the plugin was loaded: an
 * `onRequest` hook of the root instance. Fastify adds it to scopes that are older than the plugin as well.
 */
export const rejectUnprotected: onRequestHookHandler = (
  { routeOptions, method, is404, server },
  _reply,
  done,
) => {
  const { config } = routeOptions;
  if (config?.[PROTECTED] !== undefined || SAFE_METHODS.has(method)) return done();
  const registration = server[REGISTRATION];
  const isGlobal = registration?.global === true && !is404 && GLOBAL_METHODS.has(method);
  const asks = config?.idempotency ?? isGlobal;
  if (asks === false) return done();
  done(new Error(registration === undefined ? `this route ${OUT_OF_SCOPE}` : TOO_EARLY));
};

const OUT_OF_SCOPE =
  "asks for idempotency, but the plugin is registered in another scope: register it on the same Fastify instance or on one around it";
const TOO_EARLY =
  "this route was added before the idempotency plugin was loaded: await app.register(idempotency, …) first";

/** A protected request as it arrived: read before validators, coercions and later hooks may change it. */
import { IDEMPOTENCY_KEY } from "@oncekey/shared";
import type { FastifyRequest, RouteOptions as FastifyRoute } from "fastify";
import type { RouteOptions } from "../options/options.ts";
import { fingerprintWhole } from "../ticket/fingerprint.ts";
import { compileTarget } from "../ticket/target.ts";
import type { TargetOf } from "../ticket/target.ts";

/** Parts of a request that are kept until its ticket is made. */
export interface Arrival {
  /** Method, route and decoded parameters. */
  readonly target: string;
  readonly readsBody: ArrivalReader["readsBody"];
  /** `undefined` if the route has a fingerprint of its own, or a later hook reads the body. */
  fingerprint: Buffer | undefined;
}

/** Reader of a route's requests as they arrive. */
export interface ArrivalReader {
  readonly targetOf: TargetOf;
  /** Whether this request's body counts: it has a key, and the route no fingerprint option. */
  readonly readsBody: (request: FastifyRequest) => boolean;
}

export const ARRIVAL: unique symbol = Symbol("oncekey.arrival");
/** Symbol in the `config` of a protected route that holds its reader. */
export const ARRIVAL_READER: unique symbol = Symbol("oncekey.arrival-reader");

declare module "fastify" {
  interface FastifyRequest {
    [ARRIVAL]: Arrival | null;
  }
  interface FastifyContextConfig {
    [ARRIVAL_READER]?: ArrivalReader;
  }
}

/** Makes the reader of a route. Fastify adds a route for `/` in a prefix twice, with and without the slash: both get one reader. */
export function createArrivalReader(
  route: FastifyRoute,
  { key, fingerprint }: RouteOptions,
): ArrivalReader {
  const header = IDEMPOTENCY_KEY.toLowerCase();
  return {
    targetOf: compileTarget(route),
    readsBody: ({ headers }) =>
      fingerprint === undefined && (key !== undefined || headers[header] !== undefined),
  };
}

/** An `onRequest` hook: the router has decoded the parameters, and no validator has coerced them. */
export function readTarget(request: FastifyRequest, _reply: unknown, done: () => void): void {
  if (request[ARRIVAL] === null) {
    const reader = request.routeOptions.config[ARRIVAL_READER];
    if (reader !== undefined) {
      const { targetOf, readsBody } = reader;
      request[ARRIVAL] = { target: targetOf(request), readsBody, fingerprint: undefined };
    }
  }
  done();
}

/** A `preValidation` hook: the body is parsed, and no validator has seen it. */
export function readBody(request: FastifyRequest, _reply: unknown, done: () => void): void {
  const arrival = request[ARRIVAL];
  if (arrival?.fingerprint === undefined && arrival?.readsBody(request) === true) {
    try {
      arrival.fingerprint = fingerprintWhole(request);
    } catch {
      // A stream. Admission refuses it, behind authentication.
    }
  }
  done();
}

/** Options of the operator's page. */
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Pool } from "pg";

/** A hook of `onRequest` that refuses or admits the caller: with a promise or with `done`. */
export type Authenticate = (
  request: FastifyRequest,
  reply: FastifyReply,
  done: (error?: Error) => void,
) => unknown;

/** Options of the operator's page, beside Fastify's `prefix`. Unknown or wrong ones throw at registration. */
export interface OperatorOptions {
  /**
   * The application's own authentication: one `onRequest` hook or several, run before each request
   * of the page. No default: the page shows keys and scopes, and its forms can make an operation run
   * again. `false`: something in front of the server has authenticated the caller.
   */
  readonly authenticate: Authenticate | readonly Authenticate[] | false;
  /**
   * Returns the operator's name for the log of decisions, called after `authenticate`. Required with it: a decision without a name
   * cannot be asked about. `@default "operator"` (only with `authenticate: false`)
   */
  readonly by?: (request: FastifyRequest) => string;
  /** The pool to look at. Needed only if the option `pool` of `idempotency` is a function. */
  readonly pool?: Pool;
}

const NAMES = ["authenticate", "by", "pool"];

/** @throws TypeError that names the option, what it got and what is allowed. */
export function checkOperatorOptions(options: OperatorOptions): void {
  for (const name of Object.keys(options)) {
    // Of Fastify itself.
    if (["prefix", "logLevel", "logSerializers"].includes(name)) continue;
    if (!NAMES.includes(name))
      throw new TypeError(`unknown operator option ${name}; allowed are ${NAMES.join(", ")}`);
  }
  const { authenticate, by, pool } = options;
  const hooks: readonly unknown[] = Array.isArray(authenticate) ? authenticate : [authenticate];
  const isGuarded = hooks.length > 0 && hooks.every((hook) => typeof hook === "function");
  if (!isGuarded && authenticate !== false) {
    throw new TypeError(
      `operator option authenticate must be an onRequest hook or a list of them, or false if the server is behind something that authenticates, got ${typeof authenticate}`,
    );
  }
  if (by === undefined ? isGuarded : typeof by !== "function") {
    throw new TypeError(
      `operator option by must be a function of the request that returns the operator's name, got ${typeof by}`,
    );
  }
  if (pool !== undefined && (typeof pool !== "object" || pool === null || !("totalCount" in pool)))
    throw new TypeError(`operator option pool must be a pg.Pool, got ${typeof pool}`);
}

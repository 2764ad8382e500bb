/**
 * Detects a one-commit handler that uses the registered pool itself: those writes are outside of
 * the commit.
 */
import type { FastifyBaseLogger } from "fastify";
import type { Pool, PoolClient } from "pg";
import type { RouteOptions } from "../options/options.ts";
import { bindScope, leaveScope, scopeOf } from "./handler-scope.ts";

/** A one-commit handler used the lent pool itself, which `outsideWrites: 'refuse'` forbids. */
class OutsideWriteError extends Error {
  override name = "OutsideWriteError";
}

const watched = new WeakSet<Pool>();

type Connect = (callback?: ConnectCallback) => Promise<PoolClient> | undefined;
type ConnectCallback = (error?: unknown, client?: PoolClient, release?: () => void) => void;

/**
 * Watches the connections that handlers take out of a lent pool. `pool.query` takes its own through the same method. Outside of a
 * handler, and for other pools, nothing changes.
 */
export function watchPool(pool: Pool): void {
  if (watched.has(pool)) return;
  watched.add(pool);
  const own = Object.getOwnPropertyDescriptor(pool, "connect")?.value as Connect | undefined;
  const connect: Connect = (callback) => {
    const taken = own ?? (Object.getPrototypeOf(pool) as { readonly connect: Connect }).connect;
    const scope = scopeOf(pool);
    if (scope === undefined) return Reflect.apply(taken, pool, [callback]);
    try {
      scope.noteOutsideUse();
    } catch (error) {
      if (callback === undefined) return Promise.reject(error);
      queueMicrotask(() => callback(error, undefined, () => {}));
      return undefined;
    }
    // Outside, because a connection that is made here serves later requests too.
    const bound = callback && bindScope(callback);
    return leaveScope(() => Reflect.apply(taken, pool, [bound]));
  };
  Object.defineProperty(pool, "connect", { value: connect, configurable: true, writable: true });
}

/** Warnings that were logged for a route, each of them once. */
const said = new WeakMap<RouteOptions, Set<string>>();

/**
 * Logs or refuses a handler's use of the lent pool, as `outsideWrites` of its route demands.
 *
 * @throws OutsideWriteError under `'refuse'`.
 */
export function reportOutsideUse(options: RouteOptions, log: FastifyBaseLogger): void {
  if (options.outsideWrites === "allow") return;
  const error = new OutsideWriteError(
    "the handler used the pool that idempotency was registered with: what it writes there is not in the commit; use request.idempotency.tx, transactional(pool), or request.idempotency.outside(fn) if that is intended",
  );
  if (options.outsideWrites === "refuse") throw error;
  warnOnce(options, log, { stack: error.stack }, error.message);
}

/** Logs that a handler's success was stored and its transaction was never used: its repositories may use another connection. */
export function reportUnusedTransaction(options: RouteOptions, log: FastifyBaseLogger): void {
  if (options.outsideWrites === "allow") return;
  warnOnce(
    options,
    log,
    {},
    "a 2xx was stored and the handler never used request.idempotency.tx: if it wrote anything, that is not in the commit; see transactional(pool), or set outsideWrites: 'allow'",
  );
}

function warnOnce(
  options: RouteOptions,
  log: FastifyBaseLogger,
  details: object,
  message: string,
): void {
  const messages = said.get(options) ?? new Set();
  said.set(options, messages);
  if (messages.has(message)) return;
  messages.add(message);
  log.warn(details, message);
}

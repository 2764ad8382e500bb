/** `transactional(pool)`: a pool for a code base whose repositories know nothing of the request that they run in. */
import type { Pool, PoolClient } from "pg";
import { bindScope, scopeOf } from "./handler-scope.ts";
import type { HandlerScope } from "./handler-scope.ts";
import { answer } from "./inner-transactions.ts";

const originals = new WeakMap<Pool, Pool>();
const wrapped = new WeakSet<Pool>();

/**
 * Returns an object shaped like `pool`: inside of a protected one-commit handler every query runs
 * in the handler's transaction (`request.idempotency.tx`), and everywhere else on the pool.
 * Transactions of a library become savepoints. An existing code base changes only the line that
 * creates its Drizzle, Kysely, Knex, TypeORM or plain `pg` object.
 *
 * @param pool The pool that the plugin is registered with, or one of the pools that its option
 *   `pool` returns. The plugin accepts the returned object as well, and uses the pool behind it.
 * @throws TypeError unless it is a `pg.Pool`.
 *
 * @example
 * export const pool = transactional(new Pool());
 * export const db = drizzle(pool);
 */
export function transactional(pool: Pool): Pool {
  if (typeof pool?.connect !== "function" || typeof pool.query !== "function") {
    throw new TypeError(
      `transactional needs a pg.Pool, got ${pool === null ? "null" : `a ${typeof pool}`}`,
    );
  }
  if (originals.has(pool)) return pool;
  const query = (...asked: unknown[]): unknown => {
    const scope = scopeOf(pool);
    return scope === undefined ? passOn(pool, asked) : queryInside(scope, asked);
  };
  const connect = (callback?: ConnectCallback): unknown => {
    const scope = scopeOf(pool);
    if (scope !== undefined) return connectInside(scope, callback);
    return callback === undefined ? pool.connect() : pool.connect(bindScope(callback));
  };
  const proxy = new Proxy(pool, {
    get(target, name) {
      if (name === "query") return query;
      if (name === "connect") return connect;
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  originals.set(proxy, pool);
  wrapped.add(pool);
  return proxy;
}

/** Whether {@link transactional} was called for a pool. */
export function isTransactional(pool: Pool): boolean {
  return wrapped.has(pool);
}

/** Returns the pool behind a transactional one, and any other as it is. */
export function originalPool(pool: Pool): Pool {
  return originals.get(pool) ?? pool;
}

type ConnectCallback = (
  error: Error | undefined,
  client: PoolClient | undefined,
  release: (error?: Error | boolean) => void,
) => void;

function passOn(pool: Pool, asked: readonly unknown[]): unknown {
  const bound = asked.map((value) =>
    typeof value === "function" ? bindScope(value as () => void) : value,
  );
  const query = pool.query.bind(pool) as (...all: readonly unknown[]) => unknown;
  return query(...bound);
}

function queryInside({ transactions }: HandlerScope, asked: readonly unknown[]): unknown {
  return answer(
    asked,
    (rest) => transactions.send(rest, undefined),
    (rest) => transactions.submit(rest),
  );
}

function connectInside(
  { transactions }: HandlerScope,
  callback: ConnectCallback | undefined,
): Promise<PoolClient> | undefined {
  const client = transactions.createClient().asPoolClient();
  if (callback === undefined) return Promise.resolve(client);
  queueMicrotask(() => callback(undefined, client, (error) => client.release(error)));
  return undefined;
}

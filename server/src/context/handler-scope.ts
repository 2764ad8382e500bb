/**
 * The async context of a running one-commit handler, which gives its repositories the transaction.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Pool, PoolClient } from "pg";
import { InnerTransactions } from "./inner-transactions.ts";

const storage = new AsyncLocalStorage<HandlerScope | undefined>();

/** One handler's run, from its start on: also for the code that it leaves running behind its reply. */
export class HandlerScope {
  /** The pool that the transaction's connection came from. */
  readonly pool: Pool;
  readonly #takeTx: () => PoolClient;
  readonly #onOutsideUse: () => void;
  #transactions: InnerTransactions | undefined;

  /**
   * @param takeTx returns the handler's transaction, and notes that it is used.
   * @param onOutsideUse called when the handler uses `pool` itself. If it throws, the use of the
   *   pool fails with that error.
   */
  constructor(pool: Pool, takeTx: () => PoolClient, onOutsideUse: () => void) {
    this.pool = pool;
    this.#takeTx = takeTx;
    this.#onOutsideUse = onOutsideUse;
  }

  /** The transaction, shared by all clients that the handler's libraries ask for. */
  get transactions(): InnerTransactions {
    this.#transactions ??= new InnerTransactions(this.#takeTx());
    return this.#transactions;
  }

  run<Result>(fn: () => Result): Result {
    return storage.run(this, fn);
  }

  noteOutsideUse(): void {
    this.#onOutsideUse();
  }
}

/** Returns the handler that this code runs in, if its transaction is one of `pool`. */
export function scopeOf(pool: Pool): HandlerScope | undefined {
  const scope = storage.getStore();
  return scope?.pool === pool ? scope : undefined;
}

/** Runs `fn` outside of the handler that it is called in. */
export function leaveScope<Result>(fn: () => Result): Result {
  return storage.getStore() === undefined ? fn() : storage.run(undefined, fn);
}

/** Makes a callback run in the async context of this moment: `pg` calls it in that of the connection, which may be another request's. */
export const bindScope: <Callback extends (...args: never[]) => unknown>(
  callback: Callback,
) => Callback = (callback) => AsyncLocalStorage.bind(callback);

/** Takes connections out of the application's pool: bounded in number and in time. */
import type { Pool, PoolClient } from "pg";
import { requestCancel } from "./cancel.ts";
import { openSession } from "./session.ts";
import type { Session } from "./session.ts";
import { ConnectionTimeoutError, slotsOf } from "./slots.ts";
import type { Slots } from "./slots.ts";

/** A connection in use, until `release` gives it back. */
export interface Connection {
  readonly client: PoolClient;
  readonly session: Session;
  /** Aborts when the connection breaks, or by `abort`. */
  signal(): AbortSignal;
  abort(reason: Error): void;
  /** Whether a statement runs, or waits behind one that does. */
  isBusy(): boolean;
  /** Cancels what runs, closes the connection and gives its slot back, within 1 s. In place of `release`. */
  cancel(): Promise<void>;
  /** Gives the connection and its slot back; `destroy` closes it, for a connection whose state is not known. Once only. */
  release(destroy?: "destroy"): void;
}

/** Takes a connection. Throws if none can be had in time. */
export type Connect = () => Promise<Connection>;

/** Whether no connection became free in time. Otherwise the database refused one or is away; only the message of `pg` differs. */
function isPoolTimeout(error: unknown): boolean {
  return error instanceof ConnectionTimeoutError || /timeout/.test(String(error));
}

/** The detail for a caller if a connection was there, and what was asked on it failed. */
export const NO_ANSWER = "The idempotency store did not answer";

/** The detail for a caller if there was no connection. */
export function detailOf(error: unknown): string {
  return `No database connection ${isPoolTimeout(error) ? "became free in time" : "could be made"}`;
}

// Only for a pool without a limit of its own: pg waits for ever by default, and so would the caller.
const DEFAULT_WAIT_MS = 5_000;

/**
 * Makes the function that takes a connection. It waits in order for a slot of the pool and for a connection, together for the
 * pool's own `connectionTimeoutMillis` (5 s if it is unset).
 */
export function createConnect(pool: Pool): Connect {
  const waitMs = patienceMs(pool);
  const slots = slotsOf(pool);
  return async () => {
    const until = performance.now() + waitMs;
    if (!slots.takeFree()) await slots.take(waitMs);
    try {
      const client = await acquire(pool, until - performance.now());
      return new PooledConnection(client, pool, slots);
    } catch (error) {
      slots.free();
      throw error;
    }
  };
}

/** Returns for how many milliseconds a connection of the pool is awaited. */
export function patienceMs(pool: Pool): number {
  return pool.options.connectionTimeoutMillis || DEFAULT_WAIT_MS;
}

/**
 * Listens on a client that is out of its pool, which takes its own listener off for that time: without this one, a killed backend
 * ends the process. The error is not lost: it fails the query that runs, or the next one.
 */
export function ignoreError(): void {}

/**
 * Takes a client of the pool with {@link ignoreError} on it, for {@link giveBack}. By a callback: until a promise is awaited
 * nothing would listen, and a server that shuts down may send that right behind its first "ready".
 *
 * @param waitMs bounds the wait: the pool's own timer covers neither a connection that hangs before it is ready, nor a pool
 *   without one. Default: no bound.
 * @throws ConnectionTimeoutError after that.
 */
export function acquire(pool: Pool, waitMs?: number): Promise<PoolClient> {
  return new Promise((resolve, reject) => {
    let isLate = false;
    const giveUp = (): void => {
      isLate = true;
      reject(new ConnectionTimeoutError("no connection became free in the pool in time"));
    };
    const timer = waitMs === undefined ? undefined : setTimeout(giveUp, Math.max(0, waitMs));
    pool.connect((error, client) => {
      clearTimeout(timer);
      if (client === undefined) return reject(error);
      client.on("error", ignoreError);
      // Not at once: the pool hands it to the next waiter within this call. If that one is late too, and so on, calls would nest.
      if (isLate) return queueMicrotask(() => giveBack(client, false));
      return resolve(client);
    });
  });
}

/** Gives an acquired client back to its pool, or closes it. */
export function giveBack(client: PoolClient, isToBeClosed: boolean): void {
  client.release(isToBeClosed);
  client.removeListener("error", ignoreError);
}

class PooledConnection implements Connection {
  readonly client: PoolClient;
  readonly session: Session;
  readonly #pool: Pool;
  readonly #slots: Slots;
  #controller: AbortController | undefined;
  #isReleased = false;

  constructor(client: PoolClient, pool: Pool, slots: Slots) {
    this.client = client;
    this.#pool = pool;
    this.#slots = slots;
    this.session = openSession(client, pool);
    this.session.lastError = undefined;
  }

  signal(): AbortSignal {
    return this.#abortable().signal;
  }

  abort(reason: Error): void {
    this.#abortable().abort(reason);
  }

  isBusy(): boolean {
    return Reflect.get(this.client, "readyForQuery") !== true;
  }

  async cancel(): Promise<void> {
    await requestCancel(this.client, this.#pool);
    this.release("destroy");
    // With `pipeline: true` pg would wait for the answers.
    wireOf(this.client)?.stream.destroy();
  }

  release(destroy?: "destroy"): void {
    const { client } = this;
    this.#isReleased = true;
    if (this.#controller !== undefined) client.removeListener("end", this.#onEnd);
    giveBack(client, destroy !== undefined || client.getTransactionStatus() !== "I");
    this.#slots.free();
  }

  #abortable(): AbortController {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (!this.#isReleased) this.client.once("end", this.#onEnd);
    }
    return this.#controller;
  }

  readonly #onEnd = (): void =>
    this.#controller?.abort(new Error("the database connection was lost"));
}

/** The protocol connection of a pg client; pg's published types leave most of it out. */
interface Wire {
  readonly stream: { destroy(): void };
}

function wireOf(client: PoolClient): Wire | undefined {
  return Reflect.get(client, "connection") as Wire | undefined;
}

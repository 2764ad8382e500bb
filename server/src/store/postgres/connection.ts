/** Takes connections out of the application's pool: bounded in number and in time. */
import type { Pool, PoolClient } from "pg";
import { withDeadline } from "../../deadline.ts";
import { requestCancel } from "./cancel.ts";
import { createHandlerClient } from "./handler-client.ts";
import { openSession } from "./session.ts";
import { ConnectionTimeoutError, slotsOf } from "./slots.ts";

/** A connection in use, until `release` gives it back. */
export interface Connection {
  readonly client: PoolClient;
  /** The same client for the handler, until `seal`. */
  readonly tx: PoolClient;
  /** Closes `tx` before the transaction is ended. */
  seal(): void;
  /** The last error that Postgres sent since the connection was taken, other than that the transaction has failed already. */
  lastError(): unknown;
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
export function isPoolTimeout(error: unknown): boolean {
  return error instanceof ConnectionTimeoutError || /timeout/.test(String(error));
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
    await slots.take(waitMs);
    try {
      const client = await acquireWithin(pool, until - performance.now());
      return createConnection(client, pool, () => slots.free());
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
 */
export function acquire(pool: Pool): Promise<PoolClient> {
  return new Promise((resolve, reject) => {
    pool.connect((error, client) => {
      if (client === undefined) return reject(error);
      client.on("error", ignoreError);
      return resolve(client);
    });
  });
}

/** The same, bounded: the pool's own timer covers neither a connection that hangs before it is ready, nor a pool without one. */
export function acquireWithin(pool: Pool, waitMs: number): Promise<PoolClient> {
  const acquiring = acquire(pool);
  return withDeadline(acquiring, waitMs, () => {
    acquiring.then((late) => giveBack(late, false)).catch(() => {});
    throw new ConnectionTimeoutError("no connection became free in the pool in time");
  });
}

/** Gives an acquired client back to its pool, or closes it. */
export function giveBack(client: PoolClient, isToBeClosed: boolean): void {
  client.release(isToBeClosed);
  client.removeListener("error", ignoreError);
}

function createConnection(client: PoolClient, pool: Pool, freeSlot: () => void): Connection {
  openSession(client, pool);
  const { tx, close } = createHandlerClient(client);
  const wire = wireOf(client);
  let controller: AbortController | undefined;
  let lastError: unknown;
  const signal = (): AbortController => {
    if (controller === undefined) {
      controller = new AbortController();
      client.once("end", onEnd);
    }
    return controller;
  };
  const onEnd = (): void => controller?.abort(new Error("the database connection was lost"));
  const onError = (error: { readonly code?: string }): void => {
    if (error.code !== FAILED_ALREADY) lastError = error;
  };
  const release = (destroy?: "destroy"): void => {
    close();
    wire?.removeListener("errorMessage", onError);
    client.removeListener("end", onEnd);
    giveBack(client, destroy !== undefined || client.getTransactionStatus() !== "I");
    freeSlot();
  };
  wire?.on("errorMessage", onError);
  return {
    client,
    tx,
    seal: close,
    lastError: () => lastError,
    signal: () => signal().signal,
    abort: (reason) => signal().abort(reason),
    isBusy: () => Reflect.get(client, "readyForQuery") !== true,
    async cancel() {
      close();
      await requestCancel(client, pool);
      release("destroy");
      // With `pipeline: true` pg would wait for the answers.
      wire?.stream.destroy();
    },
    release,
  };
}

// 25P02: "current transaction is aborted, commands ignored until end of transaction block".
const FAILED_ALREADY = "25P02";

/** The protocol connection of a pg client; pg's published types leave most of it out. */
interface Wire {
  readonly stream: { destroy(): void };
  on(event: "errorMessage", listener: (error: { readonly code?: string }) => void): void;
  removeListener(
    event: "errorMessage",
    listener: (error: { readonly code?: string }) => void,
  ): void;
}

function wireOf(client: PoolClient): Wire | undefined {
  return Reflect.get(client, "connection") as Wire | undefined;
}

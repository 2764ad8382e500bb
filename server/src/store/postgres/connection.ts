/** Takes connections out of the user's pool: bounded in number and in time, and never at the process's expense. */
import type { Pool, PoolClient } from "pg";

/** A connection that is out of the pool, until `release` gives it back. */
export interface Lease {
  readonly client: PoolClient;
  /** The same client for the handler, until it is sealed. */
  readonly view: PoolClient;
  /** Closes the view before the transaction is ended: what the handler asks from now on would run behind the end, on its own. */
  seal(): void;
  /** Aborts when the connection breaks. */
  signal(): AbortSignal;
  /** Gives the connection back; `destroy` closes it instead, for a connection whose state is not known. Once only. */
  release(destroy?: "destroy"): void;
}

/** Takes a connection. Throws where none can be had in time. */
export type Checkout = () => Promise<Lease>;

/** No connection could be had in time. */
class CheckoutTimeoutError extends Error {
  override name = "CheckoutTimeoutError";
}

/** Whether a connection was waited for in vain; else the database refused one, or is not there. `pg` says it in words alone. */
export function isPoolTimeout(error: unknown): boolean {
  return error instanceof CheckoutTimeoutError || /timeout/.test(String(error));
}

// Only for a pool without a limit of its own: pg waits for ever by default, and so would the caller.
const DEFAULT_WAIT_MS = 5_000;

/**
 * Makes the function that takes a connection. A tenth of the pool, at least one, is never taken through it, so that the rest of
 * the application finds a connection (a pool of one is taken whole). Whoever finds none waits in order, for as long as the
 * pool's own `connectionTimeoutMillis` says (5 s where it is unset).
 */
export function createCheckout(pool: Pool): Checkout {
  const { max } = pool.options;
  const waitMs = patienceMs(pool);
  const slots = createSlots(Math.max(1, max - Math.max(1, Math.floor(max / 10))));
  return async () => {
    const until = performance.now() + waitMs;
    await slots.take(waitMs);
    try {
      const client = await connect(pool, until - performance.now());
      return lend(client, () => slots.free());
    } catch (error) {
      slots.free();
      throw error;
    }
  };
}

/** How many milliseconds a connection of the pool is waited for. */
export function patienceMs(pool: Pool): number {
  return pool.options.connectionTimeoutMillis || DEFAULT_WAIT_MS;
}

/**
 * Listens on a client that is out of its pool, which takes its own listener off for that time: without this one, a killed backend
 * ends the process. The error is not lost, it fails the query that runs or the next one.
 */
export function survive(): void {}

/**
 * Takes a client of the pool, with {@link survive} on it, which whoever gives the client back takes off. By a callback: until
 * a promise is awaited nobody would listen, and a server that is shut down says so right behind its first "ready".
 */
export function borrow(pool: Pool): Promise<PoolClient> {
  return new Promise((resolve, reject) => {
    pool.connect((error, client) => {
      if (client === undefined) return reject(error);
      client.on("error", survive);
      return resolve(client);
    });
  });
}

function lend(client: PoolClient, freed: () => void): Lease {
  let isOpen = true;
  let controller: AbortController | undefined;
  const onEnd = (): void => controller?.abort(new Error("the database connection was lost"));
  return {
    client,
    view: createView(client, () => isOpen),
    seal() {
      isOpen = false;
    },
    signal() {
      if (controller === undefined) {
        controller = new AbortController();
        client.once("end", onEnd);
      }
      return controller.signal;
    },
    release(destroy) {
      isOpen = false;
      client.removeListener("end", onEnd);
      giveBack(client, destroy !== undefined || client.getTransactionStatus() !== "I");
      freed();
    },
  };
}

/** The client as the handler has it: it cannot be released, and is dead from the end of its transaction on. */
function createView(client: PoolClient, isOpen: () => boolean): PoolClient {
  const refuseLate = (): void => {
    if (isOpen()) return;
    throw new Error(
      "request.idempotency.tx was used after its transaction had ended with the reply",
    );
  };
  return new Proxy(client, {
    get(target, property) {
      if (property === "release") return refuseRelease;
      refuseLate();
      if (property === "query") {
        return (...asked: unknown[]) => {
          refuseLate();
          return queryInside(target, asked);
        };
      }
      const value: unknown = Reflect.get(target, property);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

// What begins or ends a transaction; savepoints, and a rollback to one, are the handler's own affair.
const ENDS_TRANSACTION =
  /^\s*(begin|start\s+transaction|commit|end|abort|prepare\s+transaction|rollback(?!\s+(work\s+|transaction\s+)?to\b))\b/i;

function queryInside(client: PoolClient, asked: readonly unknown[]): unknown {
  const [first] = asked;
  const text = typeof first === "object" && first !== null && "text" in first ? first.text : first;
  const ending = typeof text === "string" ? ENDS_TRANSACTION.exec(text)?.[1] : undefined;
  if (ending !== undefined) {
    throw new Error(
      `${ending.toUpperCase()} is refused on request.idempotency.tx: its transaction ends with the reply; use savepoints inside it`,
    );
  }
  const query = client.query.bind(client) as (...all: readonly unknown[]) => unknown;
  return query(...asked);
}

function refuseRelease(): never {
  throw new Error(
    "request.idempotency.tx is released by Oncekey, with the reply; the handler must not release it",
  );
}

/** Gives a borrowed client back to its pool, or closes it. */
export function giveBack(client: PoolClient, isToBeClosed: boolean): void {
  client.release(isToBeClosed);
  client.removeListener("error", survive);
}

/** Borrows a connection. The pool's own timer covers neither one that hangs before it is ready, nor a pool that has none. */
export async function connect(pool: Pool, waitMs: number): Promise<PoolClient> {
  const connecting = borrow(pool);
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<"timeout">((resolve) => {
    timer = setTimeout(resolve, Math.max(0, waitMs), "timeout");
  });
  try {
    const client = await Promise.race([connecting, timeout]);
    if (client !== "timeout") return client;
    connecting.then((late) => giveBack(late, false)).catch(() => {});
    throw new CheckoutTimeoutError("no connection became free in the pool in time");
  } finally {
    clearTimeout(timer);
  }
}

interface Slots {
  take(waitMs: number): Promise<void>;
  free(): void;
}

function createSlots(limit: number): Slots {
  let taken = 0;
  const queue: (() => void)[] = [];
  return {
    take(waitMs) {
      if (taken < limit) {
        taken += 1;
        return Promise.resolve();
      }
      return new Promise((resolve, reject) => {
        const turn = (): void => {
          clearTimeout(timer);
          resolve();
        };
        const timer = setTimeout(() => {
          queue.splice(queue.indexOf(turn), 1);
          reject(new CheckoutTimeoutError("all connections that Oncekey may use are in use"));
        }, waitMs);
        queue.push(turn);
      });
    },
    free() {
      // The slot goes straight to whoever waits longest, so that a newcomer cannot overtake.
      const next = queue.shift();
      if (next) next();
      else taken -= 1;
    },
  };
}

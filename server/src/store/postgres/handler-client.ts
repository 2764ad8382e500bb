/** The client that a handler gets as `request.idempotency.tx`: it can neither end its transaction nor outlive it. */
import type { PoolClient } from "pg";

export interface HandlerClient {
  readonly tx: PoolClient;
  /** Makes every later query reject: behind the transaction's end it would run on its own. */
  readonly close: () => void;
}

/** Wraps a client for a handler. After `close` a query rejects, or calls its callback with the error; it never throws. */
export function createHandlerClient(client: PoolClient): HandlerClient {
  let isOpen = true;
  const query = (...asked: unknown[]): unknown => {
    if (!isOpen) return refuse(client, asked);
    refuseEnding(asked[0]);
    const send = client.query.bind(client) as (...all: readonly unknown[]) => unknown;
    return send(...asked);
  };
  const tx = new Proxy(client, {
    get(target, property) {
      if (property === "query") return query;
      if (property === "release") return refuseRelease;
      if (property === "end") return refuseEnd;
      const value: unknown = Reflect.get(target, property);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return {
    tx,
    close() {
      isOpen = false;
    },
  };
}

const LATE = "request.idempotency.tx was used after its transaction had ended with the reply";

// Statements that begin or end a transaction. Savepoints, and a rollback to one, stay inside it.
const ENDS_TRANSACTION =
  /^\s*(begin|start\s+transaction|commit|end|abort|prepare\s+transaction|rollback(?!\s+(work\s+|transaction\s+)?to\b))\b/i;

function refuseEnding(first: unknown): void {
  const text = typeof first === "object" && first !== null && "text" in first ? first.text : first;
  const ending = typeof text === "string" ? ENDS_TRANSACTION.exec(text)?.[1] : undefined;
  if (ending === undefined) return;
  throw new Error(
    `${ending.toUpperCase()} is refused on request.idempotency.tx: its transaction ends with the reply; use savepoints inside it`,
  );
}

interface Submittable {
  submit: unknown;
  handleError(error: Error, connection: unknown): void;
}

/** Fails a late query in the way in which it was asked, as pg fails one on a broken connection. */
function refuse(client: PoolClient, asked: readonly unknown[]): unknown {
  const error = new Error(LATE);
  const callback = asked.find((value) => typeof value === "function");
  if (callback !== undefined) {
    process.nextTick(callback, error);
    return undefined;
  }
  const [first] = asked;
  if (isSubmittable(first)) {
    const connection: unknown = Reflect.get(client, "connection");
    process.nextTick(() => first.handleError(error, connection));
    return first;
  }
  return Promise.reject(error);
}

function isSubmittable(value: unknown): value is Submittable {
  return typeof value === "object" && value !== null && "submit" in value && "handleError" in value;
}

function refuseRelease(): never {
  throw new Error(
    "request.idempotency.tx is released by Oncekey, with the reply; the handler must not release it",
  );
}

function refuseEnd(): Promise<never> {
  return Promise.reject(
    new Error("request.idempotency.tx is a connection of the pool; the handler must not end it"),
  );
}

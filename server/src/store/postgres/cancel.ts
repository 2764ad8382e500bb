/**
 * Cancels the running statement of a session through a second connection (PostgreSQL manual,
 * "Canceling Requests in Progress").
 */
import type { Pool, PoolClient } from "pg";

/** A client of pg, as far as a cancel request needs it. */
interface Target {
  readonly host: string;
  readonly port: number;
  readonly processID: number | null;
  readonly secretKey: number | null;
  readonly connection?: Wire;
}

interface Wire {
  readonly stream: { destroy(): void };
  connect(portOrPath: number | string, host?: string): void;
  cancel(processID: number, secretKey: number): void;
  on(event: "error" | "end", listener: () => void): void;
  once(event: "connect", listener: () => void): void;
}

const GIVE_UP_MS = 5_000;

/**
 * Asks the server to cancel what the client runs. Does not wait, and fails silently: then `statement_timeout` ends it. The answer
 * may come when the statement is over already, so that the client must not be used again.
 */
export function requestCancel(client: PoolClient, pool: Pool): void {
  const { host, port, processID, secretKey } = client as unknown as Target;
  if (processID === null || secretKey === null) return;
  // The same class and options: the application may have chosen a stream or TLS of its own.
  const Client = client.constructor as new (options: Pool["options"]) => unknown;
  const { connection } = new Client(pool.options) as Target;
  if (connection === undefined) return;
  const timer = setTimeout(() => connection.stream.destroy(), GIVE_UP_MS);
  connection.on("error", () => connection.stream.destroy());
  connection.on("end", () => clearTimeout(timer));
  connection.once("connect", () => connection.cancel(processID, secretKey));
  if (host.startsWith("/")) connection.connect(`${host}/.s.PGSQL.${port}`);
  else connection.connect(port, host);
}

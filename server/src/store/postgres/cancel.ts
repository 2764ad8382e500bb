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

/** Above a round trip to any healthy database, and short for a caller that waits for 503. */
const GIVE_UP_MS = 1_000;

/**
 * Asks the server to cancel what the client runs, and resolves when the server has taken the request (it closes the second
 * connection), or after 1 s. Fails silently: then `statement_timeout` ends the statement.
 *
 * The client must stay connected until then: a pooler forgets the sessions of clients that have left. Afterwards it must not be
 * used again, because the request may reach the session's next statement.
 */
export function requestCancel(client: PoolClient, pool: Pool): Promise<void> {
  const { host, port, processID, secretKey } = client as unknown as Target;
  // The same class and options: the application may have chosen a stream or TLS of its own.
  const Client = client.constructor as new (options: Pool["options"]) => unknown;
  const { connection } = new Client(pool.options) as Target;
  if (connection === undefined || processID === null || secretKey === null)
    return Promise.resolve();
  return new Promise((resolve) => {
    const giveUp = (): void => {
      connection.stream.destroy();
      resolve();
    };
    const timer = setTimeout(giveUp, GIVE_UP_MS);
    connection.on("error", giveUp);
    connection.on("end", () => {
      clearTimeout(timer);
      resolve();
    });
    connection.once("connect", () => connection.cancel(processID, secretKey));
    if (host.startsWith("/")) connection.connect(`${host}/.s.PGSQL.${port}`);
    else connection.connect(port, host);
  });
}

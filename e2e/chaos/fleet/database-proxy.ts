/** A TCP proxy between a server and its database that breaks the next COMMIT on demand. */
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { createMessageCounter } from "@oncekey/test-support/wire/frontend-messages";

/**
 * `drop-request`: the connection breaks before COMMIT is passed on. `drop-answer`: after it was,
 * before its answer comes back. `delay`: COMMIT arrives late. `half-open`: nothing arrives any
 * more, either way, without an error.
 */
export const COMMIT_FAULTS = ["drop-request", "drop-answer", "delay", "half-open"] as const;

export type CommitFault = (typeof COMMIT_FAULTS)[number];

export interface DatabaseProxy {
  readonly url: string;
  /** The fault strikes the next COMMIT. */
  readonly arm: (fault: CommitFault) => void;
  /** Returns how many COMMITs each fault has struck. */
  readonly struck: () => Readonly<Record<CommitFault, number>>;
  /** Sets the target of new connections. */
  readonly redirect: (databaseUrl: string) => void;
  readonly stop: () => Promise<void>;
}

export interface DatabaseProxyOptions {
  readonly databaseUrl: string;
  readonly delayMs: number;
  /** Default 12 s: longer than Oncekey waits for the answer to a COMMIT. */
  readonly halfOpenMs?: number;
}

// The end of a Parse message or of a simple query: the text, and the byte that ends it.
const COMMIT = Buffer.from("commit\0");

export async function startDatabaseProxy(options: DatabaseProxyOptions): Promise<DatabaseProxy> {
  const { databaseUrl, delayMs, halfOpenMs = 12_000 } = options;
  const counts = { "drop-request": 0, "drop-answer": 0, delay: 0, "half-open": 0 };
  const armed: CommitFault[] = [];
  const sockets = new Set<Socket>();
  let target = new URL(databaseUrl);

  const server = createServer((client) => {
    const database = connect(Number(target.port), target.hostname);
    for (const socket of [client, database]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => undefined);
      socket.once("close", () => {
        sockets.delete(socket);
        client.destroy();
        database.destroy();
      });
    }
    database.on("data", (bytes) => client.write(bytes));
    const readMessages = createMessageCounter();
    const onData = (bytes: Buffer): void => {
      // A prepared COMMIT is bound by its name alone.
      const { bound } = readMessages(bytes);
      const commits = bytes.includes(COMMIT) || bound.includes("commit");
      const fault = commits ? armed.shift() : undefined;
      if (fault === undefined) database.write(bytes);
      else {
        counts[fault] += 1;
        strike(fault, bytes);
      }
    };
    client.on("data", onData);
    const strike = (fault: CommitFault, bytes: Buffer): void => {
      switch (fault) {
        case "drop-request":
          client.destroy();
          return;
        case "drop-answer":
          database.removeAllListeners("data");
          database.once("data", () => client.destroy());
          database.write(bytes);
          return;
        case "delay":
          client.pause();
          setTimeout(() => {
            database.write(bytes);
            client.resume();
          }, delayMs).unref();
          return;
        case "half-open":
          client.removeListener("data", onData);
          database.removeAllListeners("data");
          database.resume();
          setTimeout(() => client.destroy(), halfOpenMs).unref();
          return;
        default:
          fault satisfies never;
      }
    };
  }).listen(0, "127.0.0.1");
  await once(server, "listening");

  const url = new URL(databaseUrl);
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    arm: (fault) => void armed.push(fault),
    struck: () => counts,
    redirect(nextUrl) {
      target = new URL(nextUrl);
    },
    async stop() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** A TCP relay between the pool and Postgres that counts round trips and injects faults. */
import net from "node:net";
import type { AddressInfo } from "node:net";
import { createMessageCounter } from "./frontend-messages.ts";

export interface Wire {
  readonly port: number;
  /** A write of the client that follows a read begins a new round trip. */
  readonly trips: () => number;
  /** Statements sent, those of one batch each by itself. */
  readonly statements: () => number;
  /** Statements that Postgres had to parse. */
  readonly parses: () => number;
  /** Round trips that have been answered. */
  readonly answered: () => number;
  /** Keeps all answers back but the next `count`, until the returned function is called. */
  holdAfter(count: number): () => void;
  /** Counts from zero again. */
  reset(): void;
  /**
   * Sets the fault of the next chunk from the client that contains `text` or binds a prepared statement with it, and of all after
   * it on that connection.
   */
  onText(text: string, fault: WireFault): void;
  /**
   * The next "ready" is followed, in the same packet, by the message of a server that shuts down.
   */
  shutDownOnReady(): void;
  /**
   * Lets no byte through, either way, on existing and new connections, and closes none of them.
   * When the returned function is called, the held bytes arrive, as with TCP.
   */
  cut(): () => void;
  close(): Promise<void>;
}

/**
 * `drop-request`: it never arrives. `drop-answer`: it arrives, the answer does not, and the
 * connection breaks. `silence`: it arrives, and nothing ever comes back. `panic`: it arrives and is
 * done, and the server reports a full disk and ends.
 */
export type WireFault = "drop-request" | "drop-answer" | "silence" | "panic";

// ReadyForQuery, idle; ErrorResponse (PostgreSQL manual, "Message Formats").
const READY = Buffer.from("Z\0\0\0\u0005I", "latin1");
const SHUT_DOWN = errorResponse({
  S: "FATAL",
  V: "FATAL",
  C: "57P01",
  M: "terminating connection",
});

const DISK_FULL = errorResponse({
  S: "PANIC",
  V: "PANIC",
  C: "53100",
  M: "could not write to file",
});

function errorResponse(fields: Readonly<Record<string, string>>): Buffer {
  const parts = Object.entries(fields).map(([type, value]) => `${type}${value}\0`);
  const body = Buffer.from(`${parts.join("")}\0`);
  const head = Buffer.from("E\0\0\0\0");
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

export async function createWire(target: {
  readonly host: string;
  readonly port: number;
}): Promise<Wire> {
  let trips = 0;
  let statements = 0;
  let parses = 0;
  let answered = 0;
  let allowed = Infinity;
  let held: (() => void)[] | undefined;
  let isToShutDown = false;
  let trap: { text: string; fault: WireFault } | undefined;
  let isCut = false;
  const sockets = new Set<net.Socket>();
  let healed: (() => void)[] = [];

  const server = net.createServer((client) => {
    sockets.add(client);
    client.on("error", () => {});
    if (isCut) hold(client);
    else relay(client);
  });

  /**
   * A cut line lets no connection through either. A client that gives up in the meantime never
   * reaches Postgres.
   */
  function hold(client: net.Socket): void {
    const early: Buffer[] = [];
    const keep = (chunk: Buffer): void => void early.push(chunk);
    client.on("data", keep);
    healed.push(() => {
      client.removeListener("data", keep);
      if (client.destroyed) return;
      client.unshift(Buffer.concat(early));
      relay(client);
    });
  }

  function relay(client: net.Socket): void {
    const upstream = net.connect(target.port, target.host);
    for (const socket of [client, upstream]) socket.setNoDelay(true);
    sockets.add(upstream);
    upstream.on("error", () => {});
    let lastFrom: "client" | "server" = "server";
    let muted: WireFault | undefined;
    const countMessages = createMessageCounter();
    client.on("data", (chunk) => {
      if (lastFrom === "server") trips += 1;
      lastFrom = "client";
      const counted = countMessages(chunk);
      statements += counted.statements;
      parses += counted.parses;
      // A prepared statement is bound by its name alone.
      const { text } = trap ?? {};
      const isTrapped =
        text !== undefined && [chunk, ...counted.bound].some((one) => one.includes(text));
      if (isTrapped) {
        muted = trap?.fault;
        trap = undefined;
      }
      if (muted === "drop-request") {
        client.destroy();
        upstream.destroy();
        return;
      }
      upstream.write(chunk);
    });
    upstream.on("data", (chunk) => {
      if (lastFrom === "client") {
        if (answered < allowed) answered += 1;
        else held ??= [];
      }
      lastFrom = "server";
      if (muted === "silence") return;
      if (muted === "drop-answer" || muted === "panic") {
        if (muted === "panic") client.end(DISK_FULL);
        else client.destroy();
        upstream.destroy();
        return;
      }
      if (isToShutDown && chunk.includes(READY)) {
        isToShutDown = false;
        client.write(Buffer.concat([chunk, SHUT_DOWN]));
        upstream.destroy();
      } else if (held === undefined) client.write(chunk);
      else held.push(() => client.write(chunk));
    });
    for (const [end, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      end.on("close", () => (isCut ? healed.push(() => other.destroy()) : other.destroy()));
    }
  }
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    trips: () => trips,
    statements: () => statements,
    parses: () => parses,
    answered: () => answered,
    holdAfter(count) {
      allowed = answered + count;
      return () => {
        allowed = Infinity;
        for (const send of held ?? []) send();
        held = undefined;
      };
    },
    reset() {
      trips = 0;
      statements = 0;
      parses = 0;
      answered = 0;
    },
    shutDownOnReady: () => {
      isToShutDown = true;
    },
    onText: (text, fault) => {
      trap = { text, fault };
    },
    cut() {
      isCut = true;
      for (const socket of sockets) socket.pause();
      return () => {
        isCut = false;
        for (const happen of healed) happen();
        for (const socket of sockets) socket.resume();
        healed = [];
      };
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** Plays recorded requests against Postgres: bare sockets, no protocol library, no HTTP. */
import { randomInt, randomUUID } from "node:crypto";
import type { Socket } from "node:net";
import pg from "pg";
import type { Until } from "../load-order.ts";
import { quantile } from "../statistics.ts";
import type { Flight, Script, Slot } from "./record.ts";

/** A connection to Postgres that sends flights of bytes. */
export interface PlaySession {
  /** Resolves when Postgres is ready for the next flight. @throws Error for an ErrorResponse. */
  send(flight: Buffer): Promise<void>;
  close(): Promise<void>;
}

export interface Played {
  readonly requests: number;
  readonly elapsedMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const READY_BYTES = 6;
const READY = "Z".charCodeAt(0);
const ERROR = "E".charCodeAt(0);

/** Opens a session on which the named statements of a script are prepared. */
export async function openPlaySession(url: string, script: Script): Promise<PlaySession> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => {});
  await client.connect();
  const { stream } = Reflect.get(client, "connection") as unknown as { readonly stream: Socket };
  // Now pg reads nothing: the answers of Postgres are only counted.
  stream.removeAllListeners("data");
  let received: Buffer | undefined;
  let waiting: PromiseWithResolvers<void> | undefined;
  stream.on("data", (chunk) => {
    received = received === undefined ? chunk : Buffer.concat([received, chunk]);
    if (!isReady(received)) return;
    const error = errorIn(received);
    received = undefined;
    if (error === undefined) waiting?.resolve();
    else waiting?.reject(new Error(`Postgres refused a played statement: ${error}`));
  });
  stream.on("close", () => waiting?.reject(new Error("Postgres closed a played session")));
  const session: PlaySession = {
    send(flight) {
      waiting = Promise.withResolvers();
      stream.write(flight);
      return waiting.promise;
    },
    async close() {
      waiting = undefined;
      if (stream.destroyed) return;
      const closed = new Promise((resolve) => stream.once("close", resolve));
      stream.end("X\0\0\0\u0004");
      await closed;
    },
  };
  await session.send(script.prepare);
  return session;
}

/** Plays a script on each session, one request after the other. */
export async function play(
  sessions: readonly PlaySession[],
  { flights }: Script,
  until: Until,
): Promise<Played> {
  const latencies: number[] = [];
  let sent = 0;
  const startedAt = performance.now();
  const isOver = (): boolean =>
    "ms" in until ? performance.now() - startedAt >= until.ms : sent >= until.requests;
  const run = async (session: PlaySession): Promise<void> => {
    // Each session writes its keys into bytes of its own. A flight is answered before its bytes change again.
    const own = flights.map(({ bytes, slots }) => ({ bytes: Buffer.from(bytes), slots }));
    while (!isOver()) {
      sent += 1;
      writeSlots(own);
      const sentAt = performance.now();
      for (const { bytes } of own) await session.send(bytes);
      latencies.push(performance.now() - sentAt);
    }
  };
  await Promise.all(sessions.map(run));
  const elapsedMs = performance.now() - startedAt;
  const sorted = latencies.toSorted((one, other) => one - other);
  return {
    requests: sorted.length,
    elapsedMs,
    p50Ms: quantile(sorted, 0.5),
    p99Ms: quantile(sorted, 0.99),
  };
}

/** A new key, owner and lock: any number does for a lock that no other request asks for. */
function writeSlots(flights: readonly Flight[]): void {
  const lock = `-1${randomInt(1e8, 1e9)}${randomInt(1e8, 1e9)}`;
  const values: Readonly<Record<Slot["kind"], string>> = {
    key: randomUUID(),
    owner: randomUUID(),
    lock,
  };
  for (const { bytes, slots } of flights)
    for (const { at, length, kind } of slots)
      bytes.write(values[kind].slice(-length), at, length, "latin1");
}

function isReady(received: Buffer): boolean {
  const at = received.length - READY_BYTES;
  return at >= 0 && received[at] === READY && received.readInt32BE(at + 1) === READY_BYTES - 1;
}

function errorIn(received: Buffer): string | undefined {
  for (let at = 0; at < received.length; at += 1 + received.readInt32BE(at + 1)) {
    const end = at + 1 + received.readInt32BE(at + 1);
    if (received[at] === ERROR) return received.toString("utf8", at + 5, end).replaceAll("\0", " ");
  }
  return undefined;
}

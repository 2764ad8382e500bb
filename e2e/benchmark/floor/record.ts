/** Records what a server sends to Postgres for one request: the exact bytes, in the flights in which it waits for answers. */
import { randomUUID } from "node:crypto";
import net from "node:net";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Lab } from "../lab.ts";
import { PATH } from "../subjects/subjects.ts";
import type { SubjectName } from "../subjects/subjects.ts";

/** Bytes of a flight that differ from request to request. All values have one length, so the rest stays as it was sent. */
export interface Slot {
  readonly at: number;
  readonly length: number;
  readonly kind: "key" | "owner" | "lock";
}

/** Messages up to a Sync or a simple query. */
export interface Flight {
  readonly bytes: Buffer;
  readonly slots: readonly Slot[];
}

export interface Script {
  /** Prepares the named statements on a new session. */
  readonly prepare: Buffer;
  readonly flights: readonly Flight[];
  /** Statements of one request. */
  readonly statements: number;
}

/** A message of a client, with its type and length (PostgreSQL manual, "Message Formats"). */
interface Message {
  readonly type: string;
  readonly bytes: Buffer;
}

const SYNC = Buffer.from("S\0\0\0\u0004");
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const LOCK = /^-?\d{15,19}$/;
const QUIET_MS = 50;
const WARM_UPS = 4;

/** Lets a server run one request whose statements are prepared already, and returns what it sent. */
export async function recordScript(lab: Lab, subject: SubjectName): Promise<Script> {
  const url = new URL(await lab.database(subject));
  const tap = await createTap({ host: url.hostname, port: Number(url.port) });
  url.host = `127.0.0.1:${tap.port}`;
  const server = await lab.start(subject, url.href);
  const send = async (key: string): Promise<void> => {
    const order = { port: server.port, path: PATH.first, connections: 1, isReplay: false };
    await lab.loader.load({ ...order, keys: [key], until: { requests: 1 } });
    await sleep(QUIET_MS);
  };
  try {
    for (let count = 0; count < WARM_UPS; count += 1) await send(randomUUID());
    tap.forget();
    const key = randomUUID();
    await send(key);
    return scriptOf(tap.messages(), tap.prepared(), key);
  } finally {
    await server.stop();
    await tap.close();
  }
}

export function scriptOf(
  messages: readonly Message[],
  prepared: readonly Buffer[],
  key: string,
): Script {
  const flights: Flight[] = [];
  let parts: Message[] = [];
  for (const message of messages) {
    parts.push(message);
    if (message.type !== "S" && message.type !== "Q") continue;
    flights.push(flightOf(parts, key));
    parts = [];
  }
  if (parts.length > 0) throw new Error("the last flight has no end");
  const statements = messages.filter(({ type }) => type === "E" || type === "Q").length;
  return { prepare: Buffer.concat([...prepared, SYNC]), flights, statements };
}

function flightOf(messages: readonly Message[], key: string): Flight {
  let start = 0;
  const slots: Slot[] = [];
  for (const { type, bytes } of messages) {
    for (const { at, value } of type === "B" ? valuesOf(bytes) : []) {
      const kind = kindOf(value, key);
      if (kind !== undefined) slots.push({ at: start + at, length: value.length, kind });
    }
    start += bytes.length;
  }
  return { bytes: Buffer.concat(messages.map(({ bytes }) => bytes)), slots };
}

function kindOf(value: string, key: string): Slot["kind"] | undefined {
  if (value === key) return "key";
  if (UUID.test(value)) return "owner";
  return LOCK.test(value) ? "lock" : undefined;
}

/** Returns the values of a Bind message and their positions. */
function valuesOf(bind: Buffer): { readonly at: number; readonly value: string }[] {
  const portal = bind.indexOf(0, 5);
  let at = bind.indexOf(0, portal + 1) + 1;
  at += 2 + bind.readInt16BE(at) * 2;
  const count = bind.readInt16BE(at);
  at += 2;
  return Array.from({ length: count }, () => {
    const length = Math.max(0, bind.readInt32BE(at));
    const from = at + 4;
    at = from + length;
    return { at: from, value: bind.toString("latin1", from, at) };
  });
}

interface Tap {
  readonly port: number;
  /** Parse messages of named statements, each name once. */
  readonly prepared: () => readonly Buffer[];
  /** Messages since the last `forget`, without the preparing ones. */
  readonly messages: () => readonly Message[];
  readonly forget: () => void;
  readonly close: () => Promise<void>;
}

async function createTap(target: { readonly host: string; readonly port: number }): Promise<Tap> {
  const prepared = new Map<string, Buffer>();
  let messages: Message[] = [];
  const sockets = new Set<net.Socket>();
  const server = net.createServer((client) => {
    const upstream = net.connect(target.port, target.host);
    const read = createReader((message) => {
      const name = message.type === "P" ? nameIn(message.bytes) : "";
      if (name !== "") prepared.set(name, message.bytes);
      else if (message.type !== "C") messages.push(message);
    });
    client.on("data", (chunk) => {
      read(chunk);
      upstream.write(chunk);
    });
    upstream.pipe(client);
    for (const socket of [client, upstream]) {
      socket.setNoDelay(true);
      socket.on("error", () => {});
      sockets.add(socket);
    }
    client.on("close", () => upstream.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    prepared: () => [...prepared.values()],
    messages: () => messages,
    forget() {
      messages = [];
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function nameIn(message: Buffer): string {
  return message.toString("latin1", 5, message.indexOf(0, 5));
}

/** Reads one connection from its first byte: the message that opens the session has no type, and is left out. */
function createReader(onMessage: (message: Message) => void): (chunk: Buffer) => void {
  let unread: Buffer = Buffer.alloc(0);
  let typeBytes = 0;
  return (chunk) => {
    unread = Buffer.concat([unread, chunk]);
    while (unread.length >= typeBytes + 4) {
      const end = typeBytes + unread.readInt32BE(typeBytes);
      if (unread.length < end) return;
      const bytes = Buffer.from(unread.subarray(0, end));
      if (typeBytes === 1) onMessage({ type: bytes.toString("latin1", 0, 1), bytes });
      unread = unread.subarray(end);
      typeBytes = 1;
    }
  };
}

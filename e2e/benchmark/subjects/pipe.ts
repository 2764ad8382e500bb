/** Several named statements in one write and one Sync on a `pg` connection, for values of ASCII: the least that a batch costs. */
import type { Connection, PoolClient, Submittable } from "pg";

export interface PipedStatement {
  readonly name: string;
  readonly text: string;
  readonly values?: readonly string[];
}

export interface Pipe {
  send(statements: readonly PipedStatement[]): Promise<void>;
}

const PREPARED = new WeakMap<PoolClient, Set<string>>();

export function openPipe(client: PoolClient): Pipe {
  const prepared = PREPARED.get(client) ?? new Set();
  PREPARED.set(client, prepared);
  return {
    send: (statements) =>
      new Promise((resolve, reject) => {
        const bytes = encode(statements, prepared);
        client.query(new Piped(bytes, (error) => (error === null ? resolve() : reject(error))));
      }),
  };
}

/** A query object of node-postgres. */
class Piped implements Submittable {
  readonly #bytes: string;
  callback: (error: Error | null) => void;

  constructor(bytes: string, callback: (error: Error | null) => void) {
    this.#bytes = bytes;
    this.callback = callback;
  }

  submit(connection: Connection): void {
    connection.stream.write(this.#bytes, "latin1");
  }

  handleError(error: Error): void {
    this.callback(error);
  }

  handleReadyForQuery(): void {
    this.callback(null);
  }

  handleDataRow(): void {}
  handleCommandComplete(): void {}
  handleRowDescription(): void {}
  handleEmptyQuery(): void {}
  handlePortalSuspended(): void {}
  handleCopyData(): void {}
}

function encode(statements: readonly PipedStatement[], prepared: Set<string>): string {
  let bytes = "";
  for (const { name, text, values = [] } of statements) {
    if (!prepared.has(name)) bytes += message("P", `${name}\0${text}\0${int16(0)}`);
    prepared.add(name);
    let bind = `\0${name}\0${int16(0)}${int16(values.length)}`;
    for (const value of values) bind += int32(value.length) + value;
    bytes += message("B", bind + int16(0)) + EXECUTE;
  }
  return bytes + SYNC;
}

function message(type: string, content: string): string {
  return type + int32(content.length + 4) + content;
}

function int16(value: number): string {
  return String.fromCharCode(value >> 8, value & 255);
}

function int32(value: number): string {
  return int16(value >>> 16) + int16(value & 65_535);
}

const EXECUTE = message("E", `\0${int32(0)}`);
const SYNC = message("S", "");

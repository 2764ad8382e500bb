/**
 * Encodes a batch as one buffer in the extended query protocol (PostgreSQL manual, "Message Formats"). A statement is prepared
 * once for a session that keeps names.
 */
import { createHash } from "node:crypto";

export type Value = string | Buffer | null;

/** A statement's text in the forms in which it is sent, made once for each text. */
export interface EncodedText {
  /** Prepares the statement under its name, whether or not the session has that name already. */
  readonly prepare: Buffer;
  /** Prepares the unnamed statement. */
  readonly parse: Buffer;
  /** The rest of a Bind message behind its length: an unnamed portal and the statement's name. */
  readonly named: Buffer;
  readonly unnamed: Buffer;
}

/** A statement as a batch has it. */
export interface Encodable {
  readonly text: string;
  readonly values?: readonly Value[];
  readonly isPlannedAnew?: true;
}

/** Whether the sessions behind a pool keep named statements. */
export interface PoolTraits {
  keepsNames: boolean;
}

// A plan that was made for a small table reads it whole, and stays as the table grows: Postgres drops it when the table is
// analyzed, up to a minute later. Made again this often it costs less than 1 % of the statements that it saves.
const MAX_PLAN_AGE_MS = 5_000;

/** The statements that one session has a name for. */
export class StatementNames {
  readonly #traits: PoolTraits;
  readonly #prepared = new Set<string>();
  /** When the names were last forgotten. Before the first batch with names: never, in a process of any age. */
  #preparedAt = -Infinity;

  constructor(traits: PoolTraits) {
    this.#traits = traits;
  }

  /** Returns the texts that have a name, or `undefined` if the session keeps none. */
  current(): Set<string> | undefined {
    if (!this.#traits.keepsNames) return undefined;
    const now = performance.now();
    if (now - this.#preparedAt >= MAX_PLAN_AGE_MS) {
      this.#prepared.clear();
      this.#preparedAt = now;
    }
    return this.#prepared;
  }

  /** Forgets all names: which of a failed batch are there is not known. The next use prepares each again. */
  forget(): void {
    this.#prepared.clear();
  }

  /** Gives named statements up for the whole pool: one was lost inside a transaction, which cost a request its writes. */
  giveUp(): void {
    this.#traits.keepsNames = false;
    this.#prepared.clear();
  }
}

const encoded = new Map<string, EncodedText>();

/** Returns the forms of a text. The texts are constants of a schema and a route, so their number is bounded. */
export function encodeText(text: string): EncodedText {
  const known = encoded.get(text);
  if (known !== undefined) return known;
  const name = `oncekey_${nameOf(text)}`;
  const made: EncodedText = {
    // Close first: it is no error if the session has no such name, and Parse is one if it has.
    prepare: Buffer.concat([message("C", `S${name}\0`), message("P", `${name}\0${text}\0\0\0`)]),
    parse: message("P", `\0${text}\0\0\0`),
    named: Buffer.from(`\0${name}\0`),
    unnamed: Buffer.from("\0\0"),
  };
  encoded.set(text, made);
  return made;
}

/** A short command is its own name: what watches the wire for a `commit` finds it there. */
function nameOf(text: string): string {
  if (/^[a-z ]{1,40}$/.test(text)) return text.replaceAll(" ", "_");
  return createHash("sha256").update(text).digest("hex").slice(0, 24);
}

/**
 * Returns the statements and one Sync as one buffer: a stream writes it with one system call and no list of chunks. The names
 * of the statements count as known from now on; if the batch fails, {@link StatementNames.forget} has to be called.
 */
export function encodeBatch(statements: readonly Encodable[], names: StatementNames): Buffer {
  const prepared = names.current();
  let bound = SYNC.length;
  for (const statement of statements) {
    const { values = NO_VALUES } = statement;
    bound += headBytes(statement, prepared) + BIND_HEAD_BYTES + 4 + BIND_TAIL.length;
    bound += EXECUTE.length + values.length * 6;
    // A character of a string has at most three bytes of UTF-8.
    for (const value of values)
      bound += typeof value === "string" ? value.length * 3 : (value?.length ?? 0);
  }
  const buffer = Buffer.allocUnsafe(bound);
  let at = 0;
  for (const statement of statements) at = writeStatement(buffer, at, statement, prepared);
  return buffer.subarray(0, put(buffer, SYNC, at));
}

// The text counts only if it is sent. With the texts of prepared statements a buffer is several times as large as its batch, and
// Node's pool of small buffers lasts for two batches.
function headBytes(
  { text, isPlannedAnew }: Encodable,
  prepared: ReadonlySet<string> | undefined,
): number {
  const { prepare, parse, named, unnamed } = encodeText(text);
  if (prepared === undefined || isPlannedAnew !== undefined) return parse.length + unnamed.length;
  return (prepared.has(text) ? 0 : prepare.length) + named.length;
}

function writeStatement(
  buffer: Buffer,
  start: number,
  { text, values = NO_VALUES, isPlannedAnew }: Encodable,
  prepared: Set<string> | undefined,
): number {
  const { prepare, parse, named, unnamed } = encodeText(text);
  const isNamed = prepared !== undefined && isPlannedAnew === undefined;
  let bind = start;
  if (!isNamed) bind = put(buffer, parse, start);
  else if (!prepared.has(text)) {
    bind = put(buffer, prepare, start);
    prepared.add(text);
  }
  let at = put(buffer, isNamed ? named : unnamed, bind + BIND_HEAD_BYTES);
  at = putInt16(buffer, values.length, at);
  for (const value of values) at = putInt16(buffer, Buffer.isBuffer(value) ? BINARY : TEXT, at);
  at = putInt16(buffer, values.length, at);
  for (const value of values) at = putValue(buffer, value, at);
  at = put(buffer, BIND_TAIL, at);
  buffer[bind] = BIND;
  buffer.writeInt32BE(at - bind - 1, bind + 1);
  return put(buffer, EXECUTE, at);
}

const NO_VALUES: readonly Value[] = [];

function putValue(buffer: Buffer, value: Value, start: number): number {
  const at = start + 4;
  if (value === null) {
    buffer.writeInt32BE(-1, start);
    return at;
  }
  const length = typeof value === "string" ? buffer.write(value, at) : value.length;
  buffer.writeInt32BE(length, start);
  return typeof value === "string" ? at + length : put(buffer, value, at);
}

function put(buffer: Buffer, bytes: Buffer, at: number): number {
  buffer.set(bytes, at);
  return at + bytes.length;
}

function putInt16(buffer: Buffer, value: number, at: number): number {
  buffer[at] = value >> 8;
  buffer[at + 1] = value & 0xff;
  return at + 2;
}

function message(type: string, content: string): Buffer {
  const head = Buffer.from(`${type}\0\0\0\0`);
  head.writeInt32BE(Buffer.byteLength(content) + 4, 1);
  return Buffer.concat([head, Buffer.from(content)]);
}

// Formats of a value. Results come as text: pg decodes every field as UTF-8, so bytes would not survive.
const TEXT = 0;
const BINARY = 1;
const BIND = "B".charCodeAt(0);
const BIND_HEAD_BYTES = 5;
// One format for all columns of the result: text.
const BIND_TAIL = Buffer.of(0, 1, 0, TEXT);
// An unnamed portal, without a limit of rows.
const EXECUTE = message("E", "\0\0\0\0\0");
const SYNC = message("S", "");

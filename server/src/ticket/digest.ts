/** A digest of any value: equal for equal data in whatever order its members stand. One pass, without recursion. */
import { createHash, hash } from "node:crypto";
import { isSame, knownShape, MAX_SHAPES } from "./shape.ts";
import type { Shape } from "./shape.ts";
import { sortedByHash } from "./sort-names.ts";

/** Thrown for a value that shows nothing of its content, such as a stream. */
export class OpaqueValueError extends TypeError {
  override name = "OpaqueValueError";
  readonly what: string;
  constructor(what: string) {
    super(`cannot compare ${what}`);
    this.what = what;
  }
}

/**
 * Policy for values that hide their content: promises, weak collections, blobs. Streams are always
 * refused.
 */
export type OpaquePolicy = "refuse" | "by-kind";

/** A shape with its number in one value. */
interface NumberedShape {
  readonly shape: Shape;
  readonly id: number;
}

// One number a value: its kind in the low three bits, and above them a length, a count or the value itself.
const TEXT = 0;
const SMALL = 1;
const NUMBER = 2;
const CHILD = 3;
const LIST = 4;
const OBJECT = 5;
const SPECIAL = 6;
const BYTES = 7;

const NULL = SPECIAL;
const TRUE = SPECIAL + 8;
const FALSE = SPECIAL + 16;
const UNDEFINED = SPECIAL + 24;
// The string after each of these holds the rest.
const BIGINT = SPECIAL + 32;
const KIND = SPECIAL + 40;
const AGAIN = SPECIAL + 48;
const UNREADABLE = SPECIAL + 56;

const DICTIONARY = SPECIAL + 64;

const MAX_SMALL = 2 ** 27;
// Up to here the numbers are hashed as text: one call of the hash costs less than four.
const MAX_SHORT_TOKENS = 256;
const MAX_SHORT_TEXT = 4_096;
const MIN_SCRATCH = 1_024;
const MAX_SCRATCH = 262_144;
const MIN_LONG_TEXT = 4_096;
// An object with more members is a dictionary, which no other object resembles.
const MAX_SHAPED = 64;
// Above this number each container is written once: a circle, or aliases of aliases, would have no
// end.
const MAX_UNTRACKED = 100_000;

/**
 * Returns SHA-256 over the values. A member that is `undefined` counts.
 *
 * @throws OpaqueValueError for a stream, and under `'refuse'` for all that shows nothing of its content.
 */
export function digest(values: readonly unknown[], opaque: OpaquePolicy): Buffer {
  return new Pass(opaque).run(values);
}

class Pass {
  readonly #opaque: OpaquePolicy;
  /**
   * The structure, as numbers. They delimit the three parts below, so no two values have the same
   * encoding.
   */
  #tokens = takeScratch();
  #length = 0;
  readonly #texts: string[] = [];
  readonly #numbers: number[] = [];
  readonly #bytes: Uint8Array[] = [];
  /** Containers whose content is still to be written. */
  readonly #left: object[] = [];
  /** Shapes of this value by their first name: one lookup for each object of a list. */
  readonly #shapes = new Map<string, NumberedShape>();
  /** Numbers of the sorted names, in the order in which they came. */
  readonly #shapeIds = new Map<string, number>();
  readonly #visited = new Map<object, number>();
  #containers = 0;

  constructor(opaque: OpaquePolicy) {
    this.#opaque = opaque;
  }

  run(values: readonly unknown[]): Buffer {
    this.#writeList(values);
    for (let next = this.#left.pop(); next !== undefined; next = this.#left.pop()) {
      try {
        this.#writeContainer(next);
      } catch (error) {
        if (error instanceof OpaqueValueError) throw error;
        // A proxy or a getter that throws is no reason to refuse the request.
        this.#put(UNREADABLE);
      }
    }
    return this.#finish();
  }

  #put(token: number): void {
    if (this.#length === this.#tokens.length) {
      const longer = new Int32Array(this.#length * 2);
      longer.set(this.#tokens);
      this.#tokens = longer;
    }
    this.#tokens[this.#length] = token;
    this.#length += 1;
  }

  #writeValue(value: unknown): void {
    switch (typeof value) {
      case "string":
        this.#put(value.length * 8 + TEXT);
        this.#texts.push(value);
        return;
      case "number":
        if (value >= 0 && value < MAX_SMALL && (value | 0) === value) {
          this.#put(value * 8 + SMALL);
          return;
        }
        this.#put(NUMBER);
        this.#numbers.push(value);
        return;
      case "object":
        if (value === null) {
          this.#put(NULL);
          return;
        }
        this.#put(CHILD);
        this.#left.push(value);
        return;
      case "boolean":
        this.#put(value ? TRUE : FALSE);
        return;
      case "undefined":
        this.#put(UNDEFINED);
        return;
      case "bigint":
        this.#writeNamed(BIGINT, value.toString());
        return;
      case "function":
      case "symbol":
        this.#writeNamed(KIND, typeof value);
    }
  }

  #writeContainer(value: object): void {
    this.#containers += 1;
    if (this.#containers > MAX_UNTRACKED && this.#isKnown(value)) return;
    if (Array.isArray(value)) {
      this.#writeList(value);
      return;
    }
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype === Object.prototype || prototype === null) this.#writeMembers(value);
    else this.#writeInstance(value);
  }

  #isKnown(value: object): boolean {
    const number = this.#visited.get(value);
    if (number === undefined) {
      this.#visited.set(value, this.#visited.size);
      return false;
    }
    this.#writeNamed(AGAIN, String(number));
    return true;
  }

  #writeList(items: readonly unknown[]): void {
    this.#put(items.length * 8 + LIST);
    for (let at = 0; at < items.length; at += 1) this.#writeValue(items[at]);
  }

  #writeMembers(value: object): void {
    const keys = Object.keys(value);
    if (keys.length > MAX_SHAPED) {
      this.#writeManyMembers(value as Readonly<Record<string, unknown>>, keys);
      return;
    }
    const values: unknown[] = Object.values(value);
    const { shape, id } = this.#shapeOf(keys);
    const { order, isSuspect } = shape;
    if (isSuspect) this.#refuseMethods(value);
    this.#put(id * 8 + OBJECT);
    for (let at = 0; at < order.length; at += 1) this.#writeValue(values[order[at] ?? 0]);
  }

  // A dictionary: its names are data, and sorting them by a number is many times faster than by
  // their text. Object.values() of so many members costs more than reading one by one.
  #writeManyMembers(value: Readonly<Record<string, unknown>>, keys: readonly string[]): void {
    this.#put(DICTIONARY);
    this.#put(keys.length * 8 + SMALL);
    for (const key of sortedByHash(keys)) {
      this.#put(key.length * 8 + TEXT);
      this.#texts.push(key);
      this.#writeValue(value[key]);
    }
  }

  #shapeOf(keys: readonly string[]): NumberedShape {
    const first = keys[0] ?? "";
    const before = this.#shapes.get(first);
    if (before !== undefined && isSame(before.shape.keys, keys)) return before;
    const shape = knownShape(first, keys);
    let id = this.#shapeIds.get(shape.names);
    if (id === undefined) {
      id = this.#shapeIds.size;
      this.#shapeIds.set(shape.names, id);
    }
    const numbered = { shape, id };
    if (this.#shapes.size < MAX_SHAPES || before !== undefined) this.#shapes.set(first, numbered);
    return numbered;
  }

  #writeInstance(value: object): void {
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
      this.#writeBytes(value);
      return;
    }
    this.#refuseMethods(value);
    const tag = tagOf(value);
    if (value instanceof Date) this.#writeNamed(KIND, `date ${value.getTime()}`);
    else if (value instanceof Map) this.#writeAs("map", [...value]);
    else if (value instanceof Set) this.#writeAs("set", [...value]);
    else if (PAIRS.has(tag)) this.#writeAs(tag, [...(value as Iterable<unknown>)]);
    else if (BOXED.has(tag)) this.#writeValue(value.valueOf());
    else if (hasMethod(value, "toJSON")) this.#writeValue(value.toJSON());
    else if (tag === "Blob" || tag === "File") this.#writeBlob(value as Blob & Partial<File>);
    else if (tag !== "Object" && Object.keys(value).length === 0) this.#writeOpaque(`a ${tag}`);
    else this.#writeMembers(value);
  }

  #writeAs(kind: string, items: readonly unknown[]): void {
    this.#writeNamed(KIND, kind);
    this.#writeList(items);
  }

  // Writes size and name: the content of a blob can only be read asynchronously.
  #writeBlob({ size, type, name }: Blob & Partial<File>): void {
    if (this.#opaque === "refuse") throw new OpaqueValueError("a Blob");
    this.#writeAs("blob", [size, type, name]);
  }

  #writeBytes(value: ArrayBufferView | ArrayBuffer): void {
    if (!(value instanceof Uint8Array)) this.#writeNamed(KIND, tagOf(value));
    const bytes = ArrayBuffer.isView(value)
      ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
      : new Uint8Array(value);
    this.#put(bytes.length * 8 + BYTES);
    this.#bytes.push(bytes);
  }

  #writeNamed(token: number, text: string): void {
    this.#put(token);
    this.#writeValue(text);
  }

  #writeOpaque(what: string): void {
    if (this.#opaque === "refuse") throw new OpaqueValueError(what);
    this.#writeNamed(KIND, what);
  }

  #refuseMethods(value: object): void {
    if (hasMethod(value, "pipe") || value instanceof ReadableStream)
      throw new OpaqueValueError("a stream");
    if (this.#opaque === "by-kind" || !hasMethod(value, "then")) return;
    if (value instanceof Promise) value.catch(() => {});
    throw new OpaqueValueError("a Promise");
  }

  #finish(): Buffer {
    const tokens = this.#tokens.subarray(0, this.#length);
    const texts = [...this.#shapeIds.keys(), ...this.#texts];
    const isShort = this.#length <= MAX_SHORT_TOKENS && this.#bytes.length === 0;
    const digested =
      isShort && isUpTo(MAX_SHORT_TEXT, texts)
        ? hashText(`${tokens.join()};${this.#numbers.join()};${texts.join("")}`)
        : this.#hashLong(tokens, texts);
    scratch = this.#tokens.length <= MAX_SCRATCH ? this.#tokens : undefined;
    return digested;
  }

  /** Texts are hashed as they are in memory: UTF-8 would have to be made of most of them. */
  #hashLong(tokens: Int32Array, texts: readonly string[]): Buffer {
    const parts = joinShort(texts).map((text) => ({ text, encoding: encodingOf(text) }));
    const sizes = parts.map(({ text, encoding }) => `${text.length} ${encoding}`);
    const sum = createHash("sha256");
    // Delimits what follows. No short text begins like this.
    sum.update(`${tokens.length} ${this.#numbers.length} ${sizes.join()};`);
    sum.update(tokens).update(new Float64Array(this.#numbers));
    for (const { text, encoding } of parts) sum.update(text, encoding);
    for (const bytes of this.#bytes) sum.update(bytes);
    return sum.digest();
  }
}

// V8 answers at once for a string that has one byte a character, and at the first match for others.
const ABOVE_LATIN = /[\u0100-\uffff]/;

function encodingOf(text: string): "utf16le" | "latin1" {
  return ABOVE_LATIN.test(text) ? "utf16le" : "latin1";
}

function hashText(text: string): Buffer {
  // By its text: the bytes then come from Node's pool of small buffers, and cost no memory of their own.
  return Buffer.from(hash("sha256", wellFormed(text), "hex"), "hex");
}

function isUpTo(length: number, texts: readonly string[]): boolean {
  let left = length;
  for (const text of texts) {
    left -= text.length;
    if (left < 0) return false;
  }
  return true;
}

/** Joins texts that follow each other, since a call of the hash costs more than a copy. A long one stays by itself. */
function joinShort(texts: readonly string[]): string[] {
  const parts: string[] = [];
  let from = 0;
  for (let at = 0; at <= texts.length; at += 1) {
    const text = texts[at];
    if (text !== undefined && text.length < MIN_LONG_TEXT) continue;
    if (at > from) parts.push(texts.slice(from, at).join(""));
    if (text !== undefined) parts.push(text);
    from = at + 1;
  }
  return parts;
}

// Scratch memory that is kept between requests. Its user takes it out for the time of use.
let scratch: Int32Array<ArrayBuffer> | undefined;

function takeScratch(): Int32Array<ArrayBuffer> {
  const taken = scratch ?? new Int32Array(MIN_SCRATCH);
  scratch = undefined;
  return taken;
}

const PAIRS: ReadonlySet<string> = new Set(["URLSearchParams", "Headers", "FormData"]);
const BOXED: ReadonlySet<string> = new Set(["Number", "String", "Boolean", "BigInt", "Symbol"]);

function hasMethod<Name extends string>(
  value: object,
  name: Name,
): value is Record<Name, () => unknown> {
  return name in value && typeof (value as Record<string, unknown>)[name] === "function";
}

function tagOf(value: object): string {
  return Object.prototype.toString.call(value).slice("[object ".length, -1);
}

// UTF-8 would turn every lone surrogate into the same character.
function wellFormed(text: string): string {
  return text.isWellFormed() ? text : `~${JSON.stringify(text)}`;
}

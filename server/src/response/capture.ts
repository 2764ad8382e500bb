/** Captures a reply as the stored response: exact bytes and the headers of the allow-list. */
import { isUtf8 } from "node:buffer";
import { validateHeaderValue } from "node:http";
import { Readable } from "node:stream";
import type { FastifyReply } from "fastify";
import { decode } from "./content-encoding.ts";
import type { MaybePromise } from "../async/maybe-promise.ts";
import type { RouteOptions } from "../options/options.ts";
import type { StoredResponse } from "../store/store.ts";

/**
 * The stored response, and the payload that is sent on: as it came, or its bytes if it had to be
 * read.
 */
export interface Captured {
  readonly response: StoredResponse;
  readonly payload: unknown;
}

/** Status and headers of a reply as they stand when it is sent. Whatever fails while it is being stored may change both. */
export interface Head {
  readonly status: number;
  readonly headers: Readonly<Record<string, HeaderValue>>;
}

type HeaderValue = number | string | string[] | undefined;

/** Takes the head of a reply down. */
export function readHead(reply: FastifyReply): Head {
  // Fastify's own copy of what is set on it and on Node's reply: only lists may change after this.
  const headers = reply.getHeaders() as Record<string, HeaderValue>;
  for (const name in headers)
    if (Array.isArray(headers[name])) headers[name] = copied(headers[name]);
  return { status: reply.statusCode, headers };
}

/** Puts a reply back to what it was, its error's headers taken off. */
export function restoreHead(reply: FastifyReply, { status, headers }: Head): void {
  if (reply.statusCode !== status) reply.code(status);
  const now = reply.getHeaders();
  for (const name in now) if (headers[name] === undefined) reply.removeHeader(name);
  for (const name in headers) {
    const before = headers[name];
    if (now[name] === before || String(now[name]) === String(before)) continue;
    reply.removeHeader(name);
    if (before !== undefined) reply.header(name, copied(before));
  }
}

// Fastify adds a further cookie to the list that is there.
function copied(value: HeaderValue): HeaderValue {
  return Array.isArray(value) ? [...value] : value;
}

/** The payload as it is read: every kind of stream becomes one of Node, so that closing it closes where it comes from. */
export function asReadable(payload: unknown): unknown {
  const isWhole = payload === undefined || payload === null || typeof payload === "string";
  return isWhole || payload instanceof Uint8Array ? payload : toReadable(payload);
}

/**
 * Reads the payload of a reply, {@link asReadable} before. A body above `maxResponseBytes` is sent on whole but not kept.
 *
 * @throws what a streamed body throws, and Node's error for a header value that could not be sent.
 */
export function capture(
  reply: FastifyReply,
  head: Head,
  payload: unknown,
  options: RouteOptions,
): MaybePromise<Captured> {
  const isWhole = typeof payload === "string" && head.headers["content-encoding"] === undefined;
  return isWhole ? captureText(head, payload, options) : captureBody(reply, head, payload, options);
}

/** The text of a reply is sent on as it is, such as a handler's JSON: its bytes are made once, for the record. */
function captureText(
  { status, headers: all }: Head,
  text: string,
  { storeHeaders, maxResponseBytes }: RouteOptions,
): Captured {
  const headers = keptHeaders(all, storeHeaders);
  const bytes = Buffer.from(text);
  if (bytes.length > maxResponseBytes)
    return { response: { status, headers, body: undefined }, payload: text };
  const isText = bytes.length === 0 || TEXT.test(String(all["content-type"]));
  return { response: { status, headers, body: bytes }, payload: isText ? text : bytes };
}

async function captureBody(
  reply: FastifyReply,
  { status, headers: all }: Head,
  payload: unknown,
  { storeHeaders, maxResponseBytes }: RouteOptions,
): Promise<Captured> {
  const headers = keptHeaders(all, storeHeaders);
  const { body, payload: sent } = await readBody(payload, maxResponseBytes);
  const encoding = all["content-encoding"];
  if (encoding === undefined || body === undefined || body.length === 0) {
    const asSent = body === undefined || body.length === 0 ? sent : present(reply, body);
    return { response: { status, headers, body }, payload: asSent };
  }
  const identity = await decode(body, String(encoding), maxResponseBytes);
  return { response: { status, headers, body: identity }, payload: sent };
}

/**
 * Returns a stored body for later hooks: text if the content type is textual, like a handler's
 * JSON, else bytes. The first answer and a replay have the same form, so a hook that rewrites one
 * form rewrites both.
 */
export function present(reply: FastifyReply, body: Buffer): string | Buffer {
  const type = String(reply.getHeader("content-type"));
  return TEXT.test(type) && isUtf8(body) ? body.toString() : body;
}

const TEXT = /^text\/|[/+](json|xml)\b|charset=/i;

/**
 * Returns the headers that a record keeps: those of the allow-list, in lower case.
 *
 * @throws Node's error for a value that could not be sent.
 */
export function keptHeaders(all: Head["headers"], kept: ReadonlySet<string>): [string, string][] {
  const stored: [string, string][] = [];
  const keep = (name: string, value: string): void => {
    // Refused here, before it is stored: otherwise every replay would fail on it.
    validateHeaderValue(name, value);
    stored.push([name.toLowerCase(), value]);
  };
  for (const name of Object.keys(all)) {
    const value = all[name];
    if (value === undefined || !kept.has(name.toLowerCase())) continue;
    if (Array.isArray(value)) for (const one of value) keep(name, one);
    else keep(name, String(value));
  }
  return stored;
}

interface Body {
  readonly body: Buffer | undefined;
  readonly payload: unknown;
}

async function readBody(payload: unknown, limit: number): Promise<Body> {
  if (payload === undefined || payload === null) return { body: Buffer.alloc(0), payload };
  if (typeof payload === "string") return keepSmall(Buffer.from(payload), payload, limit);
  if (payload instanceof Uint8Array) return keepSmall(Buffer.from(payload), payload, limit);
  if (payload instanceof Readable) return readStream(payload, limit);
  throw unreadable();
}

function keepSmall(bytes: Buffer, payload: unknown, limit: number): Body {
  return { body: bytes.length <= limit ? bytes : undefined, payload };
}

function toReadable(payload: unknown): Readable {
  if (payload instanceof Readable) return payload;
  if (typeof payload !== "object" || payload === null) throw unreadable();
  // Web streams, and streams of other libraries: Fastify takes whatever has a `pipe`.
  if (Symbol.asyncIterator in payload) return Readable.from(payload as AsyncIterable<unknown>);
  if ("pipe" in payload) return wrap(payload as NodeJS.ReadableStream & Partial<Destroyable>);
  throw unreadable();
}

interface Destroyable {
  destroy(): void;
}

function wrap(stream: NodeJS.ReadableStream & Partial<Destroyable>): Readable {
  return new Readable({
    destroy(error, done) {
      stream.destroy?.();
      done(error);
    },
  }).wrap(stream);
}

function unreadable(): TypeError {
  return new TypeError("the reply's payload must be text, bytes or a stream");
}

async function readStream(stream: Readable, limit: number): Promise<Body> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const source = stream[Symbol.asyncIterator]() as AsyncIterator<unknown>;
  for (;;) {
    const { done, value } = await source.next();
    if (done === true) {
      const body = Buffer.concat(chunks);
      return { body, payload: body };
    }
    const chunk = toBuffer(value);
    // Node takes nothing more from a stream that begins with several of these.
    if (chunk.length > 0) chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > limit) return { body: undefined, payload: resume(chunks, source, stream) };
  }
}

function toBuffer(chunk: unknown): Buffer {
  return typeof chunk === "string" ? Buffer.from(chunk) : Buffer.from(chunk as Uint8Array);
}

/**
 * Returns a stream of the chunks that were read and then the rest. No generator: closed before its
 * first step, it would not close the stream.
 */
function resume(read: Buffer[], rest: AsyncIterator<unknown>, stream: Readable): Readable {
  return new Readable({
    read() {
      const chunk = read.shift();
      if (chunk !== undefined) {
        this.push(chunk);
        return;
      }
      rest
        .next()
        .then(({ done, value }) => this.push(done === true ? null : toBuffer(value)))
        .catch((error: Error) => this.destroy(error));
    },
    destroy(error, done) {
      stream.destroy();
      done(error);
    },
  });
}

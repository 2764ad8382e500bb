import { createHash } from "node:crypto";
import canonicalize from "canonicalize";
import type { FastifyRequest } from "fastify";

/** The part of a request that must not change under one key. */
export type FingerprintOption = (request: FastifyRequest) => unknown;

// Goes before the digest, so that another way to compute it can be told from another request.
const VERSION = Buffer.of(1);

/**
 * The digest of a request: one version byte and SHA-256 over what `option` returns (default {@link wholeRequest}), in the
 * canonical JSON of RFC 8785. Bytes and text count as they are.
 *
 * @throws TypeError if the body is a stream, which cannot be read twice: such a route needs a `fingerprint` of its own; and if
 *   what `option` returns shows nothing of the request, such as a promise or a `Map`.
 * @throws RangeError, answered with 400, if the body has a lone surrogate or a number out of range below some thousand levels.
 */
export function fingerprint(request: FastifyRequest, option?: FingerprintOption): Buffer {
  const parts = option === undefined ? wholeRequest(request) : [option(request)];
  const hash = createHash("sha256");
  for (const part of parts) {
    const bytes = toBytes(part);
    hash.update(`${bytes.length}:`).update(bytes);
  }
  return Buffer.concat([VERSION, hash.digest()]);
}

/** Method, path, sorted query, media type and body. Multipart boundaries and charsets differ between equal requests and do not count. */
function wholeRequest(request: FastifyRequest): unknown[] {
  const [path, query = ""] = request.url.split("?", 2);
  const parameters = new URLSearchParams(query);
  parameters.sort();
  const mediaType = request.headers["content-type"]?.split(";", 1)[0]?.trim().toLowerCase();
  if (request.body === undefined && hasContent(request)) throw unreadable();
  return [request.method, path, parameters.toString(), mediaType, request.body];
}

// The parser has left the body for the handler to read, as @fastify/multipart does.
function hasContent({ headers }: FastifyRequest): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}

function unreadable(cause?: unknown): TypeError {
  return new TypeError(
    "a request body that is a stream, or no plain data, needs a fingerprint option",
    { cause },
  );
}

// With the status that Fastify answers it with.
function tooDeep(cause: RangeError): RangeError & { readonly statusCode: number } {
  const error = new RangeError(
    "the body is no JSON of RFC 8785 and nested too deeply to be compared as it is",
    { cause },
  );
  return Object.assign(error, { statusCode: 400 });
}

function toBytes(part: unknown): Buffer {
  if (part === undefined) return Buffer.from("undefined");
  if (typeof part === "string") return Buffer.from(`"${part}`);
  if (part instanceof Uint8Array) return Buffer.concat([Buffer.from("bytes:"), part]);
  if (typeof part === "object" && part !== null && "pipe" in part) {
    throw unreadable();
  }
  const json = toJson(part);
  refuseOpaque(part);
  return Buffer.from(json);
}

// Written as JSON each of these is like any other, and so every request would be. What has got through that has no circles.
function refuseOpaque(part: unknown): void {
  if (typeof part === "function" || typeof part === "symbol") throw opaque(`a ${typeof part}`);
  const left: unknown[] = [part];
  while (left.length > 0) {
    const value = left.pop();
    if (typeof value !== "object" || value === null || "toJSON" in value) continue;
    // Bytes show themselves, member by member, and none where there are none.
    if (ArrayBuffer.isView(value) && !(value instanceof DataView)) continue;
    if ("then" in value && typeof value.then === "function") {
      if (value instanceof Promise) value.catch(() => {});
      throw opaque("a promise");
    }
    const members: unknown[] = Object.values(value);
    const tag = Object.prototype.toString.call(value).slice("[object ".length, -1);
    if (members.length === 0 && tag !== "Object" && tag !== "Array") throw opaque(`a ${tag}`);
    for (const member of members) left.push(member);
  }
}

function opaque(what: string): TypeError {
  return new TypeError(
    `requests cannot be told apart by ${what}: a fingerprint option has to return plain data, and at once`,
  );
}

function toJson(part: unknown): string {
  try {
    return canonicalize(part) ?? "undefined";
  } catch {
    // Lone surrogates, and numbers such as 1e999, have no canonical form in RFC 8785. As written they compare equal to themselves.
    return `as-written:${asWritten(part)}`;
  }
}

function asWritten(part: unknown): string {
  try {
    return JSON.stringify(part, (_name, value: unknown) =>
      typeof value === "number" && !Number.isFinite(value) ? `number:${value}` : value,
    );
  } catch (cause) {
    // Out of stack: unlike all else that cannot be written, this is the sender's doing.
    if (cause instanceof RangeError) throw tooDeep(cause);
    throw unreadable(cause);
  }
}

/** The part of a request that must not change under one key, as a digest. */
import type { FastifyRequest } from "fastify";
import { digest, OpaqueValueError } from "./digest.ts";

/** The part of a request that must not change under one key. */
export type FingerprintOption = (request: FastifyRequest) => unknown;

// Precedes the digest, to distinguish another algorithm from another request.
const VERSION = Buffer.of(1);

/**
 * Returns the fingerprint of the whole request: media type, query and body. The order of members
 * and of query parameters, the charset and a multipart boundary do not count. Method and path are
 * the target's.
 *
 * @returns `undefined` if a later hook or the handler will read the body.
 * @throws TypeError if the body is a stream, or has one in it: such a route needs a `fingerprint`
 *   of its own.
 */
export function fingerprintWhole(request: FastifyRequest): Buffer | undefined {
  if (request.body === undefined && hasContent(request)) return undefined;
  const mediaType = request.headers["content-type"]?.split(";", 1)[0]?.trim().toLowerCase();
  try {
    const bytes = digest([mediaType, sortedQuery(request), request.body], "by-kind");
    return Buffer.concat([VERSION, bytes]);
  } catch (cause) {
    throw unreadable(cause);
  }
}

/**
 * Returns the fingerprint of what the option returns.
 *
 * @throws TypeError if that shows nothing of the request, such as a promise.
 */
export function fingerprintBy(option: FingerprintOption, request: FastifyRequest): Buffer {
  const part = option(request);
  try {
    if (typeof part === "function" || typeof part === "symbol")
      throw new OpaqueValueError(`a ${typeof part}`);
    return Buffer.concat([VERSION, digest([part], "refuse")]);
  } catch (cause) {
    if (!(cause instanceof OpaqueValueError)) throw cause;
    throw new TypeError(`fingerprint must return plain data synchronously, got ${cause.what}`, {
      cause,
    });
  }
}

/** The error for a body that nothing can be compared with. */
export function unreadable(cause?: unknown): TypeError {
  return new TypeError(
    "a protected route whose request body is a stream needs a fingerprint option",
    { cause },
  );
}

// The parser has left the body for the handler to read, as @fastify/multipart does.
function hasContent({ headers }: FastifyRequest): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}

/** Everything behind the path, as Fastify cuts it, sorted by name. */
function sortedQuery({ url, server }: FastifyRequest): string {
  const { routerOptions, useSemicolonDelimiter } = server.initialConfig;
  // Fastify's types of its router's options leave it out.
  const router = routerOptions as { useSemicolonDelimiter?: boolean } | undefined;
  const hasSemicolon = (router?.useSemicolonDelimiter ?? useSemicolonDelimiter) === true;
  const start = url.search(hasSemicolon ? /[?#;]/ : /[?#]/);
  if (start === -1) return "";
  const query = url.slice(start + 1);
  const parameters = new URLSearchParams(query);
  parameters.sort();
  const sorted = parameters.toString();
  // Bytes that are no UTF-8 all become one character.
  return sorted.includes("%EF%BF%BD") ? `${sorted} ${query}` : sorted;
}

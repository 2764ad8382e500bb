/** Names of the contract's headers; parses and formats keys. */

/** Request header that carries the key, and the response header that echoes it (draft-ietf-httpapi-idempotency-key-header-07 §2). */
export const IDEMPOTENCY_KEY = "Idempotency-Key";

/** Request header, value `true`: answer from what is stored and start nothing. The counterpart of `only-if-cached` (RFC 9111 §5.2.1.7). */
export const IDEMPOTENCY_ONLY_IF_STORED = "Idempotency-Only-If-Stored";

/** Response header, value `true`, on replays and only there. */
export const IDEMPOTENT_REPLAYED = "Idempotent-Replayed";

/** Response header, value `true`, on a replay to a request whose fingerprint differs from the first one's. */
export const IDEMPOTENCY_MISMATCH = "Idempotency-Mismatch";

/** Response header: for how many more whole seconds the server will recognise this key. */
export const IDEMPOTENCY_KEY_LIFETIME = "Idempotency-Key-Lifetime";

/**
 * Every response header of the contract, for `Access-Control-Expose-Headers`. Without it a page on
 * another origin cannot read them (Fetch standard, "CORS-safelisted response-header name").
 *
 * @example
 * await app.register(cors, { exposedHeaders: [...EXPOSED_HEADERS] })
 */
export const EXPOSED_HEADERS: readonly string[] = /* @__PURE__ */ Object.freeze([
  IDEMPOTENCY_KEY,
  IDEMPOTENT_REPLAYED,
  IDEMPOTENCY_MISMATCH,
  IDEMPOTENCY_KEY_LIFETIME,
  "Retry-After",
  "Cache-Control",
  "Date",
]);

/** The longest key that is accepted, in characters. 255 is what most deployed services take. */
export const MAX_KEY_LENGTH = 255;

/** Describes a valid key in messages. */
export const KEY_RULE = "1 to 255 visible ASCII characters";

/**
 * Format of a key in the header: `bare` (`abc`), as every deployed service takes it, or
 * `structured` (`"abc"`), an RFC 9651 §3.3.3 string.
 */
export type KeyFormat = "bare" | "structured";

/** Result of {@link parseKey}: the key, or the reason for none. */
export type ParsedKey =
  | { readonly kind: "key"; readonly key: string }
  | { readonly kind: "invalid"; readonly reason: string };

// The longest key written as a structured string takes 512 characters; parameters have the rest.
const MAX_VALUE_LENGTH = 1_024;

const VISIBLE_ASCII = /^[\x21-\x7e]+$/;
// A string and its parameters (RFC 9651 §3.3.3, §3.1.2). No two parts can match one character, so the match is linear.
const STRUCTURED_STRING =
  /^"((?:[ !#-[\]-~]|\\["\\])*)"(?:; *[a-z*][\w.*-]*(?:=(?:%?"(?:[ !#-[\]-~]|\\["\\])*"|[!#-+\--:<-~]+))?)*$/;

/**
 * Reads a key from the value of one `Idempotency-Key` header. `abc` and `"abc"` are the same key.
 *
 * A key is 1–255 visible ASCII characters (0x21–0x7E) after unquoting. A value that begins with a double quote must be
 * one structured-field string (RFC 9651 §3.3.3); its parameters are ignored. Refuses a value of more than 1,024
 * characters by its length alone. Takes time linear in the length, and never throws.
 */
export function parseKey(value: string): ParsedKey {
  if (value.length > MAX_VALUE_LENGTH) return tooLong(value.length);
  const key = unquote(value);
  if (key === undefined) {
    return invalid("begins with a double quote but is not a whole structured-field string");
  }
  if (key === "") return invalid("is empty");
  if (key.length > MAX_KEY_LENGTH) return tooLong(key.length);
  if (!isKey(key)) return invalid("has a character outside visible ASCII (0x21 to 0x7E)");
  return { kind: "key", key };
}

/** Reads a key as {@link parseKey} does, and returns `undefined` for an invalid one. */
export function readKey(value: string): string | undefined {
  const key = value.length > MAX_VALUE_LENGTH ? undefined : unquote(value);
  return isKey(key) ? key : undefined;
}

/**
 * Writes a key as a header value that {@link parseKey} reads back as the same key.
 *
 * @param format default `bare`: every deployed service takes it. A key that begins with a double
 *   quote is always written as a structured string.
 * @throws RangeError if the key is not 1–255 visible ASCII characters.
 */
export function formatKey(key: string, format: KeyFormat = "bare"): string {
  if (!isKey(key)) {
    throw new RangeError(`key must be ${KEY_RULE}, got ${JSON.stringify(key)}`);
  }
  if (format === "bare" && !key.startsWith('"')) return key;
  return `"${key.replace(/["\\]/g, "\\$&")}"`;
}

/** Whether a value can be a key: 1–255 visible ASCII characters. */
export function isKey(value: unknown): value is string {
  return typeof value === "string" && value.length <= MAX_KEY_LENGTH && VISIBLE_ASCII.test(value);
}

function unquote(value: string): string | undefined {
  let start = 0;
  let end = value.length;
  while (isBlank(value[start])) start += 1;
  while (end > start && isBlank(value[end - 1])) end -= 1;
  const trimmed = value.slice(start, end);
  if (!trimmed.startsWith('"')) return trimmed;
  return STRUCTURED_STRING.exec(trimmed)?.[1]?.replace(/\\(["\\])/g, "$1");
}

// Optional white space (RFC 9110 §5.6.3).
function isBlank(character: string | undefined): boolean {
  return character === " " || character === "\t";
}

function tooLong(length: number): ParsedKey {
  return invalid(`is ${length} characters long, at most ${MAX_KEY_LENGTH} are allowed`);
}

function invalid(reason: string): ParsedKey {
  return { kind: "invalid", reason };
}

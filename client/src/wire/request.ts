/** A request in the form in which it is sent, byte for byte the same each time, and kept. */
import type { Options as KyOptions } from "ky";
import { BODY_CHECK, serialiseBody } from "./body.ts";
import type { RequestBody, SerialBody, TypedBody } from "./body.ts";
import { accept, checkOptions, isFilled } from "../validation/check.ts";
import { HEADERS_CHECK } from "../options/client-options.ts";
import { isMembers } from "../validation/is-object.ts";
import { parseUrl } from "../validation/parse-url.ts";

/** The methods that can carry a key. A variable of type `string` is accepted as well, and checked at run time. */
export type RequestMethod = "POST" | "PUT" | "PATCH" | "DELETE";

/** The request of an operation or a plain call. */
export interface RequestSpec {
  /**
   * `POST`, `PUT`, `PATCH` or `DELETE`.
   *
   * @default 'POST'
   */
  readonly method?: RequestMethod | (string & {}) | undefined;
  /** Below ky's `prefix`, with or without a leading slash, or relative to its `baseUrl`, or an absolute URL. */
  readonly path: string;
  /** Sent as JSON, serialised once. */
  readonly json?: unknown;
  /**
   * Sent as it is, instead of `json`. Serialised once, a form with a boundary of its own. Bytes and Blobs are kept as they
   * are if the storage can, and otherwise as base64. An operation whose body is a Blob or a FormData needs an `identity`. React Native can read neither; give it text or bytes.
   */
  readonly body?: RequestBody | undefined;
  /** Kept with the operation: nothing secret. Credentials belong into ky's `headers` or hooks. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** Everything of a request that does not change between attempts. */
export interface PreparedRequest extends SerialBody {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /**
   * Stored form of a body that this record does not have: what `storedBody` made of it, `null` if the body was left out, or empty
   * if another body was sent in its place.
   */
  readonly sealedBody?: string | null;
  /** Form of stored bytes: base64 in `body`, or an entry of their own. */
  readonly bytes?: "base64" | "beside";
}

/** The parts of ky's options that make a URL. */
export type UrlBase = Pick<KyOptions, "prefix" | "baseUrl" | "searchParams">;

const METHODS: readonly unknown[] = ["POST", "PUT", "PATCH", "DELETE"];

const SPEC_CHECKS = {
  method: accept((value) => METHODS.includes(value), `one of ${METHODS.join(", ")}`),
  path: isFilled,
  json: accept((value) => typeof value !== "function", "a value that JSON has"),
  body: BODY_CHECK,
  headers: HEADERS_CHECK,
};

/**
 * Serialises a request. Returns a function if the body has to be read first.
 *
 * @throws TypeError that names the wrong member and what is allowed.
 */
export function prepareRequest(
  spec: RequestSpec,
  base: UrlBase,
): PreparedRequest | (() => Promise<PreparedRequest>) {
  checkOptions(spec, SPEC_CHECKS, "request.");
  const { method = "POST", path, json, body, headers = {} } = spec;
  isFilled("request.path", path);
  if (json !== undefined && body !== undefined) {
    throw new TypeError("a request has either json or body, not both");
  }
  const lowered = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]);
  const own = Object.fromEntries(lowered) as Readonly<Record<string, string>>;
  const url = resolveUrl(path, base);
  const finish = ({ body: serial, type }: TypedBody): PreparedRequest => {
    const typed = type ? { "content-type": type } : {};
    return { method, url, headers: { ...typed, ...own }, body: serial };
  };
  if (json !== undefined) {
    return finish({ body: JSON.stringify(json), type: "application/json" });
  }
  const serialised = serialiseBody(body);
  return typeof serialised === "function"
    ? async () => finish(await serialised())
    : finish(serialised);
}

/**
 * Returns JSON with the members of every object in order, so that equal values have equal texts. JSON writes some different values
 * alike: `NaN` and `null`, `undefined` in a list, a member that is `undefined` or private.
 *
 * @throws TypeError for `undefined`, and for an object without members that is not plain, such as a Map or a promise.
 */
export function canonicalJson(value: unknown): string {
  const json = JSON.stringify(value, (_name, member: unknown) => {
    if (typeof member !== "object" || member === null || Array.isArray(member)) return member;
    const members = Object.entries(member);
    if (members.length === 0) refuse(member);
    return Object.fromEntries(members.sort(([a], [b]) => (a < b ? -1 : 1)));
  }) as string | undefined;
  return json ?? refuse(value);
}

function refuse(value: unknown): string {
  const kind = Object.prototype.toString.call(value);
  // A plain one may have none.
  if (kind === "[object Object]") return kind;
  throw new TypeError(`identity must be a JSON value, got ${kind}`);
}

/** Resolves a path as ky does, once: the stored request has the whole URL. */
function resolveUrl(path: string, { prefix, baseUrl, searchParams }: UrlBase): string {
  const isAbsolute = /^https?:/i;
  const start = String(prefix ?? "").replace(/\/+$/, "");
  const isPrefixed = start !== "" && !isAbsolute.test(path);
  const joined = isPrefixed ? `${start}/${path.replace(/^\/+/, "")}` : path;
  // The dot keeps a path with a colon from being read as a URL of another scheme, such as `orders:cancel`.
  const input = /^[/?#]/.test(joined) || isAbsolute.test(joined) ? joined : `./${joined}`;
  const page = globalThis.location?.href;
  const url = parseUrl(input, baseUrl === undefined ? page : parseUrl(String(baseUrl), page)?.href);
  if (url === undefined) {
    const allowed = "a URL, and absolute outside a page (ky's prefix or baseUrl)";
    throw new TypeError(`request.path must lead to ${allowed}, got ${joined}`);
  }
  for (const [name, value] of paramsOf(searchParams)) {
    if (value === undefined) url.searchParams.delete(name);
    else url.searchParams.append(name, String(value));
  }
  return url.href;
}

type Parameter = string | number | boolean | undefined;

function paramsOf(params: UrlBase["searchParams"]): Iterable<[string, Parameter]> {
  if (isMembers(params) && !(Symbol.iterator in params)) {
    return Object.entries(params as Readonly<Record<string, Parameter>>);
  }
  return new URLSearchParams(params as string);
}

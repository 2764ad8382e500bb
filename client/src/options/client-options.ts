/** The options of the client and of its operations: their meaning, their defaults with the reason, and their check at creation. */
import { IDEMPOTENCY_KEY } from "@oncekey/shared";
import { isMembers } from "../validation/is-object.ts";
import { accept, checkOptions, integer, isFunction, oneOf } from "../validation/check.ts";
import type { Check } from "../validation/check.ts";
import { fillIn, resolveSending, SENDING_CHECKS } from "./retry-options.ts";
import type { RetryOptions, SendingOptions, SendingPolicy } from "./retry-options.ts";
import type { OperationStorage, StoredBody } from "../storage/storage.ts";
import type { ResponseSchema } from "../validation/schema.ts";
import { parseUrl } from "../validation/parse-url.ts";

/** How long and how far an operation keeps its key. On the client for all, on an operation for its own. */
export interface LifeOptions<StatusCheck extends boolean | undefined = boolean | undefined> {
  /**
   * What becomes of a changed input while an earlier request of the instance is unresolved. `'resolve-first'` (default: it needs
   * nothing of the server but that it replays): the earlier one is settled, and only then a key is minted. `'hold'`: the new
   * request is sent under the earlier key; where the server answers that the key belongs to the earlier one, the result is
   * `rejected` with an `EarlierOperationExistsError` and `earlier`.
   */
  readonly onChange?: "resolve-first" | "hold" | undefined;
  /**
   * Milliseconds for which a key is used where the server has not named its lifetime, such as while no answer ever came, 1–31_536_000_000.
   * Default 86_400_000: the retention of a server that sets none. An older key is not sent again, because it could run again.
   */
  readonly assumedLifetimeMs?: number | undefined;
  /** Whether the API answers `Idempotency-Only-If-Stored`, as `@oncekey/server` does. Then what is `unknown` has `check`. Default `false`. */
  readonly statusCheck?: StatusCheck | undefined;
}

/** Headers of every request, such as credentials; a function is asked before each attempt. `Idempotency-Key` is not theirs to set. */
export type HeadersOption =
  | Readonly<Record<string, string>>
  | (() => Readonly<Record<string, string>> | Promise<Readonly<Record<string, string>>>);

/** A 401, as {@link UnauthorizedHook} is told of it. */
export interface Unauthorized {
  readonly status: number;
  /** The parsed body, or the text where it is not JSON. */
  readonly problem: unknown;
  readonly key: string;
}

/** Renews the credentials that `headers` gives, or returns `false` where they cannot be. */
export type UnauthorizedHook = (refusal: Unauthorized) => unknown;

/** The options of {@link createClient}, all of them optional. */
export interface ClientOptions<StatusCheck extends boolean | undefined = boolean | undefined>
  extends SendingOptions, LifeOptions<StatusCheck> {
  /**
   * What paths are below: an http or https URL, or one relative to the page. Default: the page itself. Where there is no page, only
   * absolute ones can be sent to.
   */
  readonly baseUrl?: string | undefined;
  /**
   * Where unfinished operations are kept, request bodies included. Default `memoryStorage()`, which survives no reload. For one
   * client alone: another one on the same storage would resume this one's operations with its own headers.
   */
  readonly storage?: OperationStorage | undefined;
  /**
   * How bodies are kept there: `omitBody()`, or `sealBody({ seal, open })`, of `@oncekey/client/stored-body`. Default: as they are,
   * so that an operation can be resumed without its input.
   */
  readonly storedBody?: StoredBody | undefined;
  /** Default: none besides those of the request. */
  readonly headers?: HeadersOption | undefined;
  /**
   * Awaited at the first 401 of a run. Then the same key and the same bytes are sent once more, with `headers` asked anew, beyond
   * `attempts`. Where it returns `false`, throws or takes longer than the deadline, the 401 counts. Default: it counts at once.
   */
  readonly onUnauthorized?: UnauthorizedHook | undefined;
  /**
   * Whether a request whose body is small enough is finished by the browser when the page goes away (`keepalive`, Fetch standard;
   * 64 KiB for all that are under way). Default `true`: its reply is lost then, but an operation that is half sent would be, too.
   */
  readonly keepalive?: boolean | undefined;
  /** Cookies and the like, as `fetch` has it. Default `'same-origin'`. */
  readonly credentials?: RequestCredentials | undefined;
}

/** {@link RetryOptions} and {@link LifeOptions} with every default in place. */
export type RetryPolicy = SendingPolicy & LifePolicy;

/** The policy of one operation. */
export interface OperationPolicy extends RetryPolicy {
  readonly response?: ResponseSchema<unknown> | undefined;
}

type LifePolicy = { readonly [Name in keyof LifeOptions]-?: NonNullable<LifeOptions[Name]> };

const DEFAULTS: LifePolicy = {
  onChange: "resolve-first",
  assumedLifetimeMs: 86_400_000,
  statusCheck: false,
};

const isBoolean: Check = accept((value) => typeof value === "boolean", "true or false");

/** Of headers that do not change. A `Headers` object has no members of its own and would be read as none at all. */
export const HEADERS_CHECK: Check = accept(
  isHeaders,
  `an object of strings without ${IDEMPOTENCY_KEY}`,
);

export const LIFE_CHECKS: Readonly<Record<keyof LifeOptions, Check>> = {
  onChange: oneOf("resolve-first", "hold"),
  assumedLifetimeMs: integer(1, 31_536_000_000),
  statusCheck: isBoolean,
};

const CLIENT_CHECKS: Readonly<Record<keyof ClientOptions, Check>> = {
  ...SENDING_CHECKS,
  ...LIFE_CHECKS,
  baseUrl: accept(isBaseUrl, "an http or https URL, or one relative to the page"),
  storage: accept(
    hasMethods("getItem", "setItem", "removeItem", "getAllKeys"),
    "an object with getItem, setItem, removeItem and getAllKeys",
  ),
  storedBody: accept(hasMethods("seal", "open", "digest"), "what omitBody or sealBody return"),
  headers(name, value) {
    if (typeof value !== "function") HEADERS_CHECK(name, value);
  },
  onUnauthorized: isFunction,
  keepalive: isBoolean,
  credentials: oneOf("same-origin", "include", "omit"),
};

/** @throws TypeError or RangeError that names the option, what it got and what is allowed. */
export function checkClientOptions(options: ClientOptions): void {
  checkOptions(options, CLIENT_CHECKS, "");
}

/** Fills in what `own` leaves out from `base`, the defaults where there is none. */
export function resolvePolicy(own: RetryOptions & LifeOptions, base?: RetryPolicy): RetryPolicy {
  return { ...resolveSending(own, base), ...fillIn(own, base ?? DEFAULTS) };
}

function isHeaders(value: unknown): boolean {
  if (!isMembers(value) || Symbol.iterator in value) return false;
  const taken = IDEMPOTENCY_KEY.toLowerCase();
  return Object.entries(value).every(
    ([name, text]) => typeof text === "string" && name.toLowerCase() !== taken,
  );
}

// A relative one is no mistake where there is no page, as where one is rendered on a server: not before something is sent.
function isBaseUrl(value: unknown): boolean {
  const url = typeof value === "string" ? parseUrl(value, "https://page.example/") : undefined;
  return /^https?:$/.test(url?.protocol ?? "");
}

function hasMethods(...names: string[]): (value: unknown) => boolean {
  return (value) => isMembers(value) && names.every((name) => typeof value[name] === "function");
}

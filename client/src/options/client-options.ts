/** The options of the client and of its operations: their meaning, their defaults with the reason, and their check at creation. */
import type { KyInstance, Options as KyOptions } from "ky";
import { IDEMPOTENCY_KEY } from "@oncekey/shared";
import { isMembers } from "../validation/is-object.ts";
import { accept, checkOptions, integer, isFunction, oneOf } from "../validation/check.ts";
import type { Check } from "../validation/check.ts";
import { fillIn, resolveSending, SENDING_CHECKS } from "./retry-options.ts";
import type { RetryOptions, SendingOptions, SendingPolicy } from "./retry-options.ts";
import type { OperationStorage, StoredBody } from "../storage/storage.ts";
import type { ResponseSchema } from "../validation/schema.ts";

/** Options for the life of a key. The client's apply to all operations, an operation's to its own runs. */
export interface LifeOptions<StatusCheck extends boolean | undefined = boolean | undefined> {
  /**
   * Treatment of a changed input while an earlier request of the instance is unresolved. Neither value places two orders in one
   * run.
   *
   * - `'hold'` sends the new request under the earlier key. If the earlier one never arrived, the new one runs. If it did,
   *   the result is `rejected` with `earlier_operation_exists` and `earlierResult`, or `earlier` if the answer does not carry it. The
   *   server has to mark or refuse another body under one key. `@oncekey/server`, draft-07 servers and Stripe do.
   * - For all other servers, `'resolve-first'` settles the earlier one and stops. The result is `rejected` with `earlierResult`, and
   *   the next run mints a key.
   *
   * @default 'hold'
   */
  readonly onChange?: "hold" | "resolve-first" | undefined;
  /**
   * Lifetime of a key that the server has not named, in ms, for example because no answer ever came. An older key is not sent
   * again, because it could run again.
   *
   * @range 1–31_536_000_000
   * @default 86_400_000 (24 h, the retention of a server that sets none)
   */
  readonly assumedLifetimeMs?: number | undefined;
  /**
   * Time for which the key of a done operation is remembered, without body or value, in ms and never beyond its lifetime. The
   * same input in that time gets a replay: a second click, Back and Pay again.
   *
   * @range 0–31_536_000_000
   * @default `3_000` without an `instance` (a second click), otherwise the key's lifetime
   */
  readonly rememberMs?: number | undefined;
  /**
   * Whether the API answers `Idempotency-Only-If-Stored`, as `@oncekey/server` does. Then an `unknown` result has `check`.
   *
   * @default false
   */
  readonly statusCheck?: StatusCheck | undefined;
}

/** Argument of {@link UnauthorizedHook}. */
export interface Unauthorized {
  readonly status: number;
  /** The parsed body, or the text where it is not JSON. */
  readonly problem: unknown;
  readonly key: string;
}

/** Renews the credentials that ky's hooks send, or returns `false` if they cannot be renewed. */
export type UnauthorizedHook = (refusal: Unauthorized) => unknown;

/** The options of {@link createClient}, all of them optional. */
export interface ClientOptions<
  StatusCheck extends boolean | undefined = boolean | undefined,
  Server extends "oncekey" | undefined = "oncekey" | undefined,
>
  extends SendingOptions, LifeOptions<StatusCheck> {
  /**
   * The transport: an instance of ky 2, or ky's own options. Its `prefix`, `baseUrl`, `headers`, `searchParams`, `credentials`,
   * `fetch` (called with a URL and options), `parseJson` and hooks apply to every attempt; its `retry` and its timeouts do not.
   * Hooks may add headers; method, key, body and content type are put back. `ky.retry()` in `afterResponse` repeats an attempt
   * once.
   *
   * @default plain ky
   */
  readonly ky?: KyInstance | LooseKyOptions | undefined;
  /**
   * Storage for unfinished operations with their request bodies. For one client alone: another one on the same storage would
   * resume this one's operations with its own credentials.
   *
   * @default `memoryStorage()`, which survives no reload
   */
  readonly storage?: OperationStorage | undefined;
  /**
   * Form of the stored bodies: `omitBody()`, or `sealBody({ seal, open })`, of `@oncekey/client/stored-body`.
   *
   * @default as they are (so that an operation can be resumed without its input)
   */
  readonly storedBody?: StoredBody | undefined;
  /**
   * Returns the signed-in user, not empty, or `undefined`; called at every run. A record belongs to the owner that made it: under
   * another one it is neither listed nor joined nor sent.
   *
   * @default everything belongs to one owner
   */
  readonly owner?: (() => string | undefined) | undefined;
  /**
   * Awaited at the first 401 of a run. Then the client repeats the attempt with the same key and bytes, beyond `attempts`, and ky's hooks
   * run again. The 401 is final if the hook returns `false`, throws or takes longer than the deadline.
   *
   * @default a 401 counts at once
   */
  readonly onUnauthorized?: UnauthorizedHook | undefined;
  /**
   * Whether the browser finishes a small request when the page goes away (`keepalive`, Fetch standard). The limit is 64 KiB for all
   * requests under way.
   *
   * @default true (an operation that is half sent loses its reply in any case)
   */
  readonly keepalive?: boolean | undefined;
  /**
   * `'oncekey'`: the API runs `@oncekey/server`. Then the defaults of `onUnacknowledged` and `statusCheck` are `'refuse'` and `true`.
   *
   * @default any API that takes a key
   */
  readonly server?: Server | undefined;
  /**
   * Whether each attempt is logged by `console.debug`, with key, instance and outcome.
   *
   * @default false
   */
  readonly debug?: boolean | undefined;
}

/** ky's options, each of which may be `undefined`. */
export type LooseKyOptions = {
  readonly [Name in keyof KyOptions]?: KyOptions[Name] | undefined;
};

/** {@link RetryOptions} and {@link LifeOptions} with every default in place. */
export type RetryPolicy = SendingPolicy & LifePolicy;

/** The policy of one operation. */
export interface OperationPolicy extends RetryPolicy {
  readonly response?: ResponseSchema<unknown> | undefined;
}

type LifePolicy = {
  readonly [Name in Exclude<keyof LifeOptions, "rememberMs">]-?: NonNullable<LifeOptions[Name]>;
} & {
  /** `undefined`: the default, which depends on the `instance`. */
  readonly rememberMs: number | undefined;
};

const DEFAULTS: LifePolicy = {
  onChange: "hold",
  assumedLifetimeMs: 86_400_000,
  rememberMs: undefined,
  statusCheck: false,
};

const isBoolean: Check = accept((value) => typeof value === "boolean", "true or false");

/** Check of headers that do not change. A `Headers` object has no members of its own and would be read as none at all. */
export const HEADERS_CHECK: Check = accept(
  isHeaders,
  `an object of strings without ${IDEMPOTENCY_KEY}`,
);

export const LIFE_CHECKS: Readonly<Record<keyof LifeOptions, Check>> = {
  onChange: oneOf("hold", "resolve-first"),
  assumedLifetimeMs: integer(1, 31_536_000_000),
  rememberMs: integer(0, 31_536_000_000),
  statusCheck: isBoolean,
};

const CLIENT_CHECKS: Readonly<Record<keyof ClientOptions, Check>> = {
  ...SENDING_CHECKS,
  ...LIFE_CHECKS,
  ky: accept(isKy, "an instance of ky 2, or ky's options (prefixUrl is prefix there)"),
  storage: accept(
    hasMethods("getItem", "setItem", "removeItem", "getAllKeys"),
    "an object with getItem, setItem, removeItem and getAllKeys",
  ),
  storedBody: accept(hasMethods("seal", "open"), "omitBody() or sealBody()"),
  owner: isFunction,
  onUnauthorized: isFunction,
  keepalive: isBoolean,
  server: oneOf("oncekey"),
  debug: isBoolean,
};

/** @throws TypeError or RangeError that names the option, what it got and what is allowed. */
export function checkClientOptions(options: ClientOptions): void {
  checkOptions(options, CLIENT_CHECKS, "");
}

/** Returns the policy of a client, with the defaults that its `server` has. */
export function resolveClientPolicy(options: ClientOptions): RetryPolicy {
  const base = resolvePolicy({});
  const isOurs = options.server === "oncekey";
  return resolvePolicy(options, {
    ...base,
    ...(isOurs && { onUnacknowledged: "refuse", statusCheck: true }),
  });
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

function isKy(value: unknown): boolean {
  if (typeof value === "function") return "extend" in value;
  return isMembers(value) && !("prefixUrl" in value);
}

function hasMethods(...names: string[]): (value: unknown) => boolean {
  return (value) => isMembers(value) && names.every((name) => typeof value[name] === "function");
}

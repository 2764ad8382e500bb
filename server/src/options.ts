/** Every option: its meaning, its default with the reason, and the check at registration. */
import type { Pool } from "pg";
import type { FingerprintOption } from "./fingerprint.ts";
import type { ScopeOption } from "./scope.ts";
import { STORED_HEADERS, storableHeaders } from "./stored-headers.ts";
import { SCHEMA_NAME } from "./store/statements.ts";

/** Options that a route may set in `config.idempotency`; what it leaves out comes from the registration. */
export interface RouteIdempotencyOptions {
  /**
   * Whose key it is: `(request) => string`, 1–512 bytes, called after authentication, or the literal `'single-tenant'`.
   * A callback that returns anything else refuses the request with 500. No default: none could be safe.
   */
  readonly scope?: ScopeOption;
  /** How the record is kept. `'advisory'` (default, PostgreSQL): one transaction for the handler's writes and the response. */
  readonly strategy?: "advisory";
  /** Whether a request without a key is refused with 400. Default `true`; `false` runs it in a transaction that stores nothing. */
  readonly required?: boolean;
  /**
   * Same key, other request. `'replay'` (default: the key, not the body, names the operation): the original response with
   * `Idempotency-Mismatch: true`. `'reject'`: 422, as draft-ietf-httpapi-idempotency-key-header-07 §2.7 has it.
   */
  readonly mismatch?: "replay" | "reject";
  /**
   * A duplicate while the first still runs. `'wait'` (default: the caller gets the answer it wants): held for up to `waitMs`, then
   * the first one's response or 409. `'reject'`: 409 at once, as draft-07 §2.7 has it.
   */
  readonly inFlight?: "wait" | "reject";
  /** Milliseconds for which a duplicate is held, 0–120_000. Default 10_000: below the timeout of most proxies and of our client. */
  readonly waitMs?: number;
  /** Milliseconds for which a record is replayed, 1_000–31_622_400_000 (366 days). Default 24 h, as most services keep keys. */
  readonly retentionMs?: number;
  /**
   * The part of the request that must not change under one key. Default: method, path, sorted query, media type and the
   * canonical JSON (RFC 8785) of the body; raw bytes where it is not JSON.
   */
  readonly fingerprint?: FingerprintOption;
  /**
   * Which of the statuses 300–499 are kept. Default: all but 401, 403, 408, 409, 425 and 429, which say nothing final. What is
   * not kept is rolled back, the handler's writes included. 2xx is always kept, 5xx never.
   */
  readonly storeStatus?: (status: number) => boolean;
  /**
   * Names of the response headers that are kept; replaces the default list, {@link STORED_HEADERS}. `content-type` is always
   * kept. Cookies, credentials, hop-by-hop, CORS and rate-limit headers are refused: they belong to one reader and one moment.
   */
  readonly storeHeaders?: readonly string[];
  /** Prefix of a problem's `type`, an absolute URI. Default `urn:oncekey:problem:`. */
  readonly problemBaseUri?: string;
}

/** Options of the plugin. Unknown or wrong ones throw at registration. */
export interface IdempotencyOptions extends RouteIdempotencyOptions {
  /** A `pg.Pool`. Lent: never closed, and never taken to its last connection. */
  readonly pool: Pool;
  readonly scope: ScopeOption;
  /** Schema of our tables, `^[a-z_][a-z0-9_]{0,62}$`. Default `oncekey`. */
  readonly schema?: string;
}

/** The options of one route, checked and with every default in place. */
export interface RouteOptions {
  readonly scope: ScopeOption;
  readonly required: boolean;
  readonly mismatch: "replay" | "reject";
  readonly inFlight: "wait" | "reject";
  readonly waitMs: number;
  readonly retentionMs: number;
  readonly fingerprint: FingerprintOption | undefined;
  readonly storeStatus: (status: number) => boolean;
  readonly storeHeaders: ReadonlySet<string>;
  readonly problemBaseUri: string | undefined;
}

/** Limits with their reasons are on the options above. */
const MAX_WAIT_MS = 120_000;
const MIN_RETENTION_MS = 1_000;
const MAX_RETENTION_MS = 366 * 24 * 3_600_000;
const NOT_FINAL: ReadonlySet<number> = new Set([401, 403, 408, 409, 425, 429]);

const ROUTE_CHECKS: Readonly<Record<keyof RouteIdempotencyOptions, Check>> = {
  scope: test(
    (value) => value === "single-tenant" || typeof value === "function",
    "a function of the request, or 'single-tenant'",
  ),
  strategy: oneOf("advisory"),
  required: test((value) => typeof value === "boolean", "true or false"),
  mismatch: oneOf("replay", "reject"),
  inFlight: oneOf("wait", "reject"),
  waitMs: integer(0, MAX_WAIT_MS),
  retentionMs: integer(MIN_RETENTION_MS, MAX_RETENTION_MS),
  fingerprint: test(isFunction, "a function of the request"),
  storeStatus: test(isFunction, "a function of the status"),
  storeHeaders: (name, value) => void storableHeaders(name, value),
  problemBaseUri: test(
    (value) => typeof value === "string" && URL.canParse(value),
    "an absolute URI",
  ),
};

const CHECKS: Readonly<Record<keyof IdempotencyOptions, Check>> = {
  ...ROUTE_CHECKS,
  pool: test(isPool, "a pg.Pool"),
  schema: test(
    (value) => typeof value === "string" && SCHEMA_NAME.test(value),
    `a name that matches ${SCHEMA_NAME.source}`,
  ),
};

/**
 * Checks the plugin's options.
 *
 * @throws TypeError or RangeError that names the option, what it got and what is allowed.
 */
export function checkOptions(options: IdempotencyOptions): void {
  check(options, CHECKS, "");
  for (const name of ["pool", "scope"] as const) {
    if (options[name] === undefined) throw new TypeError(`idempotency option ${name} is required`);
  }
}

/**
 * The options of one route: its own, then the registration's, then the defaults.
 *
 * @throws TypeError or RangeError that names the route, the option, what it got and what is allowed.
 */
export function resolveRouteOptions(
  registered: IdempotencyOptions,
  own: RouteIdempotencyOptions,
  route: string,
): RouteOptions {
  check(own, ROUTE_CHECKS, `${route}: `);
  const {
    storeStatus = isFinal,
    storeHeaders = STORED_HEADERS,
    ...set
  } = {
    ...withoutUndefined(registered),
    ...withoutUndefined(own),
  };
  return Object.freeze({
    scope: set.scope ?? registered.scope,
    required: set.required ?? true,
    mismatch: set.mismatch ?? "replay",
    inFlight: set.inFlight ?? "wait",
    waitMs: set.waitMs ?? 10_000,
    retentionMs: set.retentionMs ?? 24 * 3_600_000,
    fingerprint: set.fingerprint,
    storeStatus: (status: number) =>
      status >= 200 && status < 500 && (status < 300 || storeStatus(status)),
    storeHeaders: storableHeaders("storeHeaders", storeHeaders),
    problemBaseUri: set.problemBaseUri,
  });
}

type Check = (name: string, value: unknown) => void;

function check(options: object, checks: Readonly<Record<string, Check>>, where: string): void {
  for (const [name, value] of Object.entries(options)) {
    const checkOne = Object.hasOwn(checks, name) ? checks[name] : undefined;
    if (checkOne === undefined) {
      const known = Object.keys(checks).toSorted().join(", ");
      throw new TypeError(`${where}unknown idempotency option ${name}; allowed are ${known}`);
    }
    if (value !== undefined) checkOne(`${where}${name}`, value);
  }
}

function test(accepts: (value: unknown) => boolean, allowed: string): Check {
  return (name, value) => {
    if (!accepts(value)) throw new TypeError(`${name} must be ${allowed}, got ${show(value)}`);
  };
}

function oneOf(...allowed: string[]): Check {
  const list = allowed.map((value) => `'${value}'`).join(" or ");
  return (name, value) => {
    if (typeof value !== "string" || !allowed.includes(value)) {
      throw new TypeError(`${name} must be ${list}, got ${show(value)}`);
    }
  };
}

function integer(min: number, max: number): Check {
  return (name, value) => {
    if (!Number.isInteger(value) || Number(value) < min || Number(value) > max) {
      throw new RangeError(
        `${name} must be a whole number from ${min} to ${max}, got ${show(value)}`,
      );
    }
  };
}

function isFinal(status: number): boolean {
  return !NOT_FINAL.has(status);
}

function isFunction(value: unknown): boolean {
  return typeof value === "function";
}

// By shape: a pool from another copy of pg is as good.
function isPool(value: unknown): boolean {
  return (
    typeof value === "object" &&
    value !== null &&
    "connect" in value &&
    "totalCount" in value &&
    "options" in value
  );
}

function withoutUndefined<Options extends object>(options: Options): Options {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as Options;
}

function show(value: unknown): string {
  return typeof value === "function" ? "a function" : (JSON.stringify(value) ?? String(value));
}

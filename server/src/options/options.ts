/** Every option: its meaning, its unit and range, its default with the reason. */
import type { FastifyRequest } from "fastify";
import type { Pool } from "pg";

import { codecOf } from "../store/encryption/encrypted-codec.ts";
import type { EncryptionOptions } from "../store/encryption/keys.ts";
import type { RecordCodec } from "../store/record-codec.ts";
import type { FingerprintOption } from "../ticket/fingerprint.ts";
import type { LeaseOptions, RecoverOptions } from "./lease-options.ts";
import type { OnCrash } from "./on-crash.ts";
import { checkRegistration, checkRoute } from "./validate.ts";
import type { ReplayCacheOptions } from "../layers/replay-cache.ts";
import type { ScopeOption } from "../ticket/scope.ts";
import { storedStatus } from "./stored-status.ts";
import { STORED_HEADERS, storableHeaders } from "./stored-headers.ts";
import { DEFAULT_MAX_HANDLER_MS } from "../store/postgres/timeouts.ts";
import type { SweepOptions } from "../store/maintenance/sweeper.ts";

// Here, because this file is part of the published types: the merge has to come along with them.
declare module "fastify" {
  interface FastifyContextConfig {
    /** `true` protects the route with the options of the registration; an object protects it with some of its own. */
    idempotency?: boolean | RouteIdempotencyOptions;
  }
}

/** Strategy by which a record is kept. See {@link RouteIdempotencyOptions.strategy}. */
export type Strategy = "advisory" | "unique" | "row" | "lease";

/** Returns a request's key, or `undefined` if it carries none. */
export type KeyOption = (request: FastifyRequest) => string | undefined;

/** Options that a route may set in `config.idempotency`; what it leaves out comes from the registration. */
export interface RouteIdempotencyOptions {
  /**
   * Owner of the key: `(request) => string` or a promise of one, 1–512 bytes, called after
   * authentication, or the literal `'single-tenant'`. A callback that returns anything else, throws or rejects refuses the request
   * with 500; an HTTP error of the caller (400–499) that it throws is answered as it is. No
   * default: none could be safe.
   */
  readonly scope?: ScopeOption;
  /**
   * Strategy by which the record is kept. `'advisory'`: one commit on PostgreSQL, least work.
   * `'unique'`: one commit on any engine with unique keys. `'row'`: one commit, with
   * unfinished keys visible in the table. `'lease'`: no connection held, for handlers that call
   * other services or run long.
   *
   * @default 'advisory'
   */
  readonly strategy?: Strategy;
  /** Required with strategy `'lease'`. On the registration: the default of its lease routes. A route without `'lease'` refuses it. */
  readonly lease?: LeaseOptions;
  /**
   * Returns the key if it is not in the `Idempotency-Key` header, but in another header or in the
   * body. 1–255 visible ASCII characters: any other string is refused with 400. `undefined`: the
   * request carries no key.
   *
   * @default the header
   */
  readonly key?: KeyOption;
  /**
   * Whether a request without a key is refused with 400. `false` runs it in a transaction that stores nothing.
   *
   * @default true
   */
  readonly required?: boolean;
  /**
   * Policy for the same key with another request. `'replay'`: the original response with `Idempotency-Mismatch: true`. `'reject'`: 422, as
   * draft-ietf-httpapi-idempotency-key-header-07 §2.7 has it. If the original's lease ended
   * unfinished, there is no response yet: 422 either way.
   *
   * @default 'replay' (the key, not the body, names the operation)
   */
  readonly mismatch?: "replay" | "reject";
  /**
   * A duplicate while the first still runs. `'wait'`: held for up to `waitMs`, then
   * the first one's response or 409. `'reject'`: 409 at once, as draft-07 §2.7 has it.
   *
   * @default 'wait' (the caller gets the answer it wants)
   */
  readonly inFlight?: "wait" | "reject";
  /**
   * Longest wait of a duplicate for the first request, in ms. A route with `inFlight: 'reject'`
   * refuses it at once.
   *
   * @range 0–120_000
   * @default 10_000 (below the timeout of most proxies and of our client)
   */
  readonly waitMs?: number;
  /**
   * Retention of a stored response, in ms; never shorter than `lease.durationMs`.
   *
   * @range 1_000–31_622_400_000
   * @default 24 h (as most services keep keys)
   */
  readonly retentionMs?: number;
  /**
   * Retention of a key, in ms, counted from the stored response like `retentionMs`, and never shorter. A repeat after
   * `retentionMs` gets 410 `idempotency_response_not_stored` with `originalStatus`, and nothing runs. After the fence the key
   * counts as new. An unfinished lease is kept for as long.
   *
   * @range 1_000–31_622_400_000
   * @default 30 days (a key costs about 260 bytes; `retentionMs` if that is longer)
   */
  readonly fenceMs?: number;
  /**
   * Timeout of a one-commit handler, which holds a connection, in ms. After it `signal` aborts, the
   * transaction is rolled back, a running statement is cancelled, and the caller gets 503. With
   * strategy `'lease'` it bounds only a reply stream whose caller has gone.
   *
   * @range 100–3_600_000
   * @default 60_000 (above common proxy timeouts, so that no caller still waits)
   */
  readonly maxHandlerMs?: number;
  /**
   * The part of the request that must not change under one key, as plain data. The order of members and of query
   * parameters does not count. Needed on routes whose body is a stream.
   *
   * @default media type, query and body as they arrived, before validators and later hooks change them
   */
  readonly fingerprint?: FingerprintOption;
  /**
   * Whether a status from 300 to 499 is kept. A reply that is not kept rolls the handler's writes back. A 2xx is always kept.
   * A 5xx never is.
   *
   * @default all but 401, 403, 408, 409, 423, 424, 425 and 429, which are not final
   */
  readonly storeStatus?: (status: number) => boolean;
  /**
   * Names of the response headers that are kept; replaces the default list. `content-type` is always kept. Cookies, credentials, hop-by-hop, CORS and rate-limit headers are refused: they belong to one reader and one moment.
   *
   * @default `STORED_HEADERS`
   */
  readonly storeHeaders?: readonly string[];
  /**
   * Largest body that is kept, in bytes. A larger body is delivered, and a repeat gets 410
   * `idempotency_response_not_stored`.
   *
   * @range 0–67_108_864
   * @default 1_048_576 (far above any receipt, far below the size that a row should have)
   */
  readonly maxResponseBytes?: number;
  /**
   * A one-commit handler that uses the lent pool itself writes outside of the commit. `'warn'`: logs it once per route,
   * with the stack. `'refuse'`: the use of the pool fails. `'allow'`: nothing. A lease route refuses the option.
   *
   * @default 'warn'
   */
  readonly outsideWrites?: "warn" | "refuse" | "allow";
  /**
   * Keeps bodies, headers and step results encrypted.
   *
   * @default off
   */
  readonly encryption?: EncryptionOptions;
  /**
   * Maximum age of a new UUIDv7 key (RFC 9562 §5.7), in ms by this server's clock. An older key
   * that is not stored is refused with 412. So is a key from more than 5 minutes in the future.
   * Never longer than `fenceMs`: between the two, a key would count as new.
   *
   * @range 1_000–31_622_400_000
   * @default off (a key past its fence counts as new)
   */
  readonly maxKeyAgeMs?: number;
  /**
   * Keeps finished records in this process as well. `false`: off.
   *
   * @default { maxEntries: 1_000, maxBytes: 16 MiB }
   */
  readonly replayCache?: boolean | ReplayCacheOptions;
  /**
   * Prefix of a problem's `type`, an absolute URI.
   *
   * @default urn:oncekey:problem:
   */
  readonly problemBaseUri?: string;
  /**
   * A page about keys for the API's users, an absolute URL: problems link to it with
   * `rel="describedby"`. `false`: no link.
   *
   * @default the page of the problem in Oncekey's runbook (its reader knows what to do next)
   */
  readonly docsUrl?: string | false;
}

/** Pool of a request's records: one pool, or one for each tenant. */
export type PoolOption = Pool | ((request: FastifyRequest) => Pool);

/** Options of the plugin. Unknown or wrong ones throw at registration. */
export interface IdempotencyOptions extends RouteIdempotencyOptions {
  /**
   * A `pg.Pool`, or `(request) => pg.Pool` to route tenants to clusters of their own, the same pool for the same scope each time.
   * Lent: never closed, and never taken to its last connection.
   */
  readonly pool: PoolOption;
  readonly scope: ScopeOption;
  /**
   * Schema of our tables, `^[a-z_][a-z0-9_]{0,62}$`.
   *
   * @default 'oncekey'
   */
  readonly schema?: string;
  /**
   * Protects every POST and PATCH route; `config: { idempotency: false }` exempts one.
   *
   * @default false
   */
  readonly global?: boolean;
  /**
   * Secret of `keyDigest` in logs and events, at least 32 bytes. The processes of a fleet with the same secret log
   * the same digest for a key, so that their lines can be joined. All registrations of a process share one.
   *
   * @default a secret that each process makes at its start (no configuration, and no digest that can be guessed)
   */
  readonly digestSecret?: string | Uint8Array;
  /**
   * Connections of the pool that one-commit handlers of one scope hold at a time in this process.
   * A storm of one tenant leaves the rest to the others. A further new key waits for one as long as
   * the pool waits for a connection (`connectionTimeoutMillis`, 5 s if unset), then gets 503 with
   * `Retry-After`. Replays and look-ups are never refused for it. Requests without a key are
   * counted if option `scope` names their caller. Not counted: scope `'single-tenant'`, whose
   * callers share all, and strategy `'lease'`, whose handlers hold no connection before
   * `commit()`. A number that reaches the pool's `max` sets no limit.
   *
   * @range 1–10_000
   * @default a quarter of the pool's max, at least 1 (one storm leaves three quarters to the others)
   */
  readonly maxInFlightPerScope?: number;
  /**
   * Deletes expired rows in the background. `false`: off.
   *
   * @default { intervalMs: 60_000, batchSize: 1_000 }
   */
  readonly sweep?: false | SweepOptions;
  /**
   * Asks `onCrash` about leases that ended without an answer if no retry comes, in one process at a time. Only if a route has
   * strategy `'lease'`. `false`: only retries ask.
   *
   * @default { everyMs: 30_000, afterMs: 60_000 }
   */
  readonly recover?: false | RecoverOptions;
}

/** The options of one route, checked and with every default in place. */
export interface RouteOptions {
  readonly scope: ScopeOption;
  readonly strategy: Strategy;
  readonly leaseDurationMs: number;
  readonly onCrash: OnCrash | undefined;
  readonly key: KeyOption | undefined;
  readonly required: boolean;
  readonly mismatch: "replay" | "reject";
  readonly inFlight: "wait" | "reject";
  readonly waitMs: number;
  readonly retentionMs: number;
  readonly fenceMs: number;
  readonly maxHandlerMs: number;
  readonly fingerprint: FingerprintOption | undefined;
  readonly storeStatus: (status: number) => boolean;
  readonly storeHeaders: ReadonlySet<string>;
  readonly maxResponseBytes: number;
  readonly outsideWrites: "warn" | "refuse" | "allow";
  readonly codec: RecordCodec;
  readonly maxKeyAgeMs: number | undefined;
  readonly replayCache: boolean | ReplayCacheOptions;
  readonly problemBaseUri: string | undefined;
  readonly docsUrl: string | false | undefined;
}

const DEFAULT_RETENTION_MS = 24 * 3_600_000;
const DEFAULT_FENCE_MS = 30 * 24 * 3_600_000;

/**
 * Checks the plugin's options.
 *
 * @throws TypeError or RangeError that names the option, what it got and what is allowed.
 */
export function checkOptions(options: IdempotencyOptions): void {
  checkRegistration(options);
  for (const name of ["pool", "scope"] as const) {
    if (options[name] === undefined) throw new TypeError(`idempotency option ${name} is required`);
  }
  refuseShortFence({ ...retentionOf(options), maxKeyAgeMs: options.maxKeyAgeMs }, "");
}

function retentionOf({ retentionMs, fenceMs }: RouteIdempotencyOptions): Retention {
  const keptMs = retentionMs ?? DEFAULT_RETENTION_MS;
  return { retentionMs: keptMs, fenceMs: fenceMs ?? Math.max(DEFAULT_FENCE_MS, keptMs) };
}

type Retention = Pick<RouteOptions, "retentionMs" | "fenceMs">;

/** Refuses options under which a key would count as new while its response is kept, or before it is too old to run. */
function refuseShortFence(
  { retentionMs, fenceMs, maxKeyAgeMs }: Retention & { readonly maxKeyAgeMs: number | undefined },
  where: string,
): void {
  if (fenceMs < retentionMs) {
    throw new RangeError(
      `${where}fenceMs must be at least retentionMs (${retentionMs}), got ${fenceMs}`,
    );
  }
  if (maxKeyAgeMs !== undefined && maxKeyAgeMs > fenceMs) {
    throw new RangeError(
      `${where}maxKeyAgeMs must be at most fenceMs (${fenceMs}), got ${maxKeyAgeMs}`,
    );
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
  checkRoute(own, route);
  const set = { ...withoutUndefined(registered), ...withoutUndefined(own) };
  const { strategy = "advisory", lease } = set;
  const isStored = storedStatus(set.storeStatus);
  if (strategy === "lease" && lease === undefined) {
    throw new TypeError(
      `${route}: strategy 'lease' needs option lease with onCrash: 'rerun', 'fail' or a function`,
    );
  }
  const resolved: RouteOptions = {
    scope: set.scope,
    strategy,
    leaseDurationMs: lease?.durationMs ?? 30_000,
    onCrash: strategy === "lease" ? lease?.onCrash : undefined,
    key: set.key,
    required: set.required ?? true,
    mismatch: set.mismatch ?? "replay",
    inFlight: set.inFlight ?? "wait",
    waitMs: set.waitMs ?? 10_000,
    ...retentionOf(set),
    maxHandlerMs: set.maxHandlerMs ?? DEFAULT_MAX_HANDLER_MS,
    fingerprint: set.fingerprint,
    storeStatus: isStored,
    storeHeaders: storableHeaders("storeHeaders", set.storeHeaders ?? STORED_HEADERS),
    maxResponseBytes: set.maxResponseBytes ?? 1_048_576,
    outsideWrites: set.outsideWrites ?? "warn",
    codec: codecOf(set.encryption),
    maxKeyAgeMs: set.maxKeyAgeMs,
    replayCache: set.replayCache ?? true,
    problemBaseUri: set.problemBaseUri,
    docsUrl: set.docsUrl,
  };
  refuseIneffective(own, resolved, route);
  refuseShortFence(resolved, `${route}: `);
  return Object.freeze(resolved);
}

/** Refuses an option of the route that would have no effect beside the others: its author expects one. */
function refuseIneffective(
  own: RouteIdempotencyOptions,
  { strategy, inFlight, retentionMs, leaseDurationMs }: RouteOptions,
  route: string,
): void {
  if (own.lease !== undefined && strategy !== "lease") {
    throw new TypeError(
      `${route}: option lease has no effect with strategy '${strategy}'; set strategy: 'lease' or remove it`,
    );
  }
  if (own.outsideWrites !== undefined && strategy === "lease") {
    throw new TypeError(
      `${route}: option outsideWrites has no effect with strategy 'lease', whose handler holds no transaction; remove it`,
    );
  }
  if (own.waitMs !== undefined && inFlight === "reject") {
    throw new TypeError(
      `${route}: option waitMs has no effect with inFlight: 'reject'; set inFlight: 'wait' or remove it`,
    );
  }
  if (strategy === "lease" && retentionMs < leaseDurationMs) {
    throw new RangeError(
      `${route}: retentionMs must be at least lease.durationMs (${leaseDurationMs}), got ${retentionMs}`,
    );
  }
}

function withoutUndefined<Options extends object>(options: Options): Options {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as Options;
}

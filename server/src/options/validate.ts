/** Validates each option. The limits are documented at the options themselves. */
import { isEncryptionKey } from "../store/encryption/keys.ts";
import { storableHeaders } from "./stored-headers.ts";
import { SCHEMA_NAME } from "../store/sql/statements.ts";

type Check = (name: string, value: unknown) => void;
type Checks = Readonly<Record<string, Check>>;

const YEAR_MS = 366 * 24 * 3_600_000;

const LEASE: Checks = {
  durationMs: integer(1_000, 600_000),
  onCrash: test(
    (value) => value === "rerun" || value === "fail" || isFunction(value),
    "'rerun', 'fail' or a function",
  ),
};

const ROUTE: Checks = {
  scope: test(
    (value) => value === "single-tenant" || isFunction(value),
    "a function of the request, or 'single-tenant'",
  ),
  strategy: oneOf("advisory", "unique", "row", "lease"),
  lease: nested(LEASE, ["onCrash"]),
  key: test(isFunction, "a function of the request"),
  required: test(isBoolean, "true or false"),
  mismatch: oneOf("replay", "reject"),
  inFlight: oneOf("wait", "reject"),
  waitMs: integer(0, 120_000),
  retentionMs: integer(1_000, YEAR_MS),
  fenceMs: integer(1_000, YEAR_MS),
  maxHandlerMs: integer(100, 3_600_000),
  fingerprint: test(isFunction, "a function of the request"),
  storeStatus: test(isFunction, "a function of the status"),
  storeHeaders: (name, value) => void storableHeaders(name, value),
  maxResponseBytes: integer(0, 67_108_864),
  outsideWrites: oneOf("warn", "refuse", "allow"),
  encryption: nested(
    {
      keys: test(
        isKeyList,
        "a list of { id, secret } with distinct ids of 1 to 64 word characters and secrets of at least 32 bytes",
      ),
      plaintext: oneOf("reject", "read"),
    },
    ["keys"],
  ),
  maxKeyAgeMs: integer(1_000, YEAR_MS),
  replayCache: either(
    isBoolean,
    { maxEntries: integer(1, 1_000_000), maxBytes: integer(1, 1_073_741_824) },
    "true, false",
  ),
  problemBaseUri: test(isUri, "an absolute URI"),
  docsUrl: test((value) => value === false || isUri(value), "an absolute URL or false"),
};

const REGISTRATION: Checks = {
  ...ROUTE,
  pool: test(
    (value) => isFunction(value) || isPool(value),
    "a pg.Pool or a function of the request that returns one",
  ),
  schema: test(
    (value) => typeof value === "string" && SCHEMA_NAME.test(value),
    `a name that matches ${SCHEMA_NAME.source}`,
  ),
  global: test(isBoolean, "true or false"),
  digestSecret(name, value) {
    // The message must not show the value.
    if (!isSecret(value))
      throw new TypeError(`${name} must be a string or a Uint8Array of at least 32 bytes`);
  },
  maxInFlightPerScope: integer(1, 10_000),
  recover: either(
    (value) => value === false,
    { everyMs: integer(100, 86_400_000), afterMs: integer(0, 86_400_000) },
    "false",
  ),
  sweep: either(
    (value) => value === false,
    { intervalMs: integer(100, 86_400_000), batchSize: integer(1, 10_000) },
    "false",
  ),
};

export function checkRegistration(options: object): void {
  check(options, REGISTRATION, "");
}

/** @param route named in the message. */
export function checkRoute(options: object, route: string): void {
  check(options, ROUTE, `${route}: `);
}

/** By shape: a pool from another copy of pg is as good. */
function isPool(value: unknown): boolean {
  return (
    typeof value === "object" &&
    value !== null &&
    "connect" in value &&
    "totalCount" in value &&
    "options" in value
  );
}

function check(options: object, checks: Checks, where: string): void {
  for (const [name, value] of Object.entries(options)) {
    const checkOne = Object.hasOwn(checks, name) ? checks[name] : undefined;
    if (checkOne === undefined) {
      const known = Object.keys(checks).toSorted().join(", ");
      throw new TypeError(`${where}unknown idempotency option ${name}; allowed are ${known}`);
    }
    if (value !== undefined) checkOne(`${where}${name}`, value);
  }
}

function nested(checks: Checks, required: readonly string[]): Check {
  return (name, value) => {
    if (typeof value !== "object" || value === null) {
      throw new TypeError(
        `${name} must be an object with ${Object.keys(checks).join(", ")}, got ${value === null ? "null" : `a ${typeof value}`}`,
      );
    }
    check(value, checks, `${name}.`);
    for (const member of required) {
      if ((value as Record<string, unknown>)[member] === undefined) {
        throw new TypeError(`${name}.${member} is required`);
      }
    }
  };
}

function either(accepts: (value: unknown) => boolean, checks: Checks, allowed: string): Check {
  return (name, value) => {
    if (accepts(value)) return;
    if (typeof value !== "object" || value === null) {
      throw new TypeError(
        `${name} must be ${allowed} or an object with ${Object.keys(checks).join(", ")}, got ${show(value)}`,
      );
    }
    check(value, checks, `${name}.`);
  };
}

function test(accepts: (value: unknown) => boolean, allowed: string): Check {
  return (name, value) => {
    if (!accepts(value)) throw new TypeError(`${name} must be ${allowed}, got ${show(value)}`);
  };
}

function oneOf(...allowed: string[]): Check {
  const list = allowed.map((value) => `'${value}'`).join(" or ");
  return test((value) => typeof value === "string" && allowed.includes(value), list);
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

function isBoolean(value: unknown): boolean {
  return typeof value === "boolean";
}

function isFunction(value: unknown): boolean {
  return typeof value === "function";
}

function isUri(value: unknown): boolean {
  return typeof value === "string" && URL.canParse(value);
}

function isSecret(value: unknown): boolean {
  const isBytes = value instanceof Uint8Array;
  return (isBytes || typeof value === "string") && Buffer.byteLength(value) >= 32;
}

function isKeyList(value: unknown): boolean {
  if (!Array.isArray(value) || value.length === 0 || !value.every(isEncryptionKey)) return false;
  return new Set(value.map(({ id }) => id)).size === value.length;
}

// Formats a value for an error message. Never a secret: options that hold one only name what is
// allowed.
function show(value: unknown): string {
  if (typeof value === "function") return "a function";
  if (typeof value === "object" && value !== null)
    return Array.isArray(value) ? "a list" : "an object";
  return JSON.stringify(value) ?? String(value);
}

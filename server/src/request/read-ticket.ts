/** Reads a request's ticket, or the reason why it gets none. */
import { createHash } from "node:crypto";
import {
  IDEMPOTENCY_KEY,
  IDEMPOTENCY_ONLY_IF_STORED,
  isKey,
  MAX_KEY_LENGTH,
  parseKey,
} from "@oncekey/shared";
import type { ProblemCode } from "@oncekey/shared";
import type { FastifyRequest } from "fastify";
import { fingerprint } from "../ticket/fingerprint.ts";
import type { KeyOption, RouteOptions } from "../options/options.ts";
import { resolveScope } from "../ticket/scope.ts";
import type { Ticket } from "../store/store.ts";

/** What a request asks for. `keyless`: it carries no key and none is required. */
export type TicketReading =
  | { readonly kind: "ticket"; readonly ticket: Ticket; readonly onlyIfStored: boolean }
  | { readonly kind: "keyless" }
  | { readonly kind: "refused"; readonly code: ProblemCode; readonly detail: string }
  | { readonly kind: "no-scope" };

// What the record's column takes. Longer ones keep their beginning, for people, and a digest, for identity.
const MAX_TARGET_BYTES = 512;

/** Reads a request. Runs after validation and authentication, so that a refused request spends no key. */
export function readTicket(request: FastifyRequest, options: RouteOptions): TicketReading {
  const onlyIfStored = asksOnlyIfStored(request);
  const found = options.key === undefined ? headerKey(request) : optionKey(request, options.key);
  if (found.kind === "missing") {
    if (!options.required && !onlyIfStored) return { kind: "keyless" };
    return refused("idempotency_key_required", found.detail);
  }
  if (found.kind === "invalid") return refused("idempotency_key_invalid", found.detail);
  const scope = resolveScope(options.scope, request);
  if (scope === undefined) return { kind: "no-scope" };
  const ticket: Ticket = Object.freeze({
    key: found.key,
    scope,
    target: target(request),
    fingerprint: fingerprint(request, options.fingerprint),
  });
  return { kind: "ticket", ticket, onlyIfStored };
}

/** The key of a request, or why it has none. */
type KeyReading =
  | { readonly kind: "key"; readonly key: string }
  | { readonly kind: "missing"; readonly detail: string }
  | { readonly kind: "invalid"; readonly detail: string };

function headerKey(request: FastifyRequest): KeyReading {
  const header = `The ${IDEMPOTENCY_KEY} header`;
  const [value, ...more] = keyHeaders(request);
  if (value === undefined) return { kind: "missing", detail: `${header} is missing` };
  if (more.length > 0) return { kind: "invalid", detail: `${header} was sent more than once` };
  const parsed = parseKey(value);
  return parsed.kind === "key" ? parsed : { kind: "invalid", detail: `${header} ${parsed.reason}` };
}

/** Reads the key that option `key` returns, as it is: its value is no header, so quotes and parameters belong to the key. */
function optionKey(request: FastifyRequest, option: KeyOption): KeyReading {
  const key: unknown = option(request);
  if (key === undefined) return { kind: "missing", detail: "The request carries no key" };
  if (isKey(key)) return { kind: "key", key };
  if (typeof key === "string") {
    const detail = `The key must be 1 to ${MAX_KEY_LENGTH} visible ASCII characters`;
    return { kind: "invalid", detail };
  }
  if (key instanceof Promise) key.catch(() => {});
  throw new TypeError(
    `idempotency option key must return a string or undefined, got ${key === null ? "null" : `a ${typeof key}`}`,
  );
}

// Node joins repeated headers into one value; only the raw list shows that a key was sent twice.
// A light-my-request injection has that list too.
function keyHeaders(request: FastifyRequest): string[] {
  const { rawHeaders } = request.raw;
  return rawHeaders.filter(
    (_, index) =>
      index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === IDEMPOTENCY_KEY.toLowerCase(),
  );
}

// Anything but a plain "no" counts as asked: where nothing may start, a value that we cannot read must not start anything.
function asksOnlyIfStored(request: FastifyRequest): boolean {
  const value = request.headers[IDEMPOTENCY_ONLY_IF_STORED.toLowerCase()];
  return value !== undefined && value !== "false" && value !== "?0";
}

function target(request: FastifyRequest): string {
  const path = request.url.split("?", 1)[0] ?? "/";
  const whole = `${request.method} ${path}`;
  if (Buffer.byteLength(whole) <= MAX_TARGET_BYTES) return whole;
  const digest = createHash("sha256").update(whole).digest("hex");
  return `${whole.slice(0, 64)}… sha256:${digest}`;
}

function refused(code: ProblemCode, detail: string): TicketReading {
  return { kind: "refused", code, detail };
}

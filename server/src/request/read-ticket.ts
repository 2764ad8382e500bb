/** Reads a request's ticket, or the reason why it gets none. */
import {
  IDEMPOTENCY_KEY,
  IDEMPOTENCY_ONLY_IF_STORED,
  isKey,
  MAX_KEY_LENGTH,
  parseKey,
} from "@oncekey/shared";
import type { ProblemCode } from "@oncekey/shared";
import type { FastifyRequest } from "fastify";
import { fingerprintBy, fingerprintWhole, unreadable } from "../ticket/fingerprint.ts";
import type { KeyOption, RouteOptions } from "../options/options.ts";
import { resolveScope } from "../ticket/scope.ts";
import { ticketId } from "../ticket/ticket-id.ts";
import type { MaybePromise } from "../async/maybe-promise.ts";
import type { Ticket } from "../store/store.ts";
import { ARRIVAL } from "./arrival.ts";

/**
 * Ticket of a request, or the reason for none. `keyless`: it carries no key and none is required. Its scope counts for
 * `maxInFlightPerScope`, if the caller has one.
 */
export type TicketReading =
  | { readonly kind: "ticket"; readonly ticket: Ticket; readonly onlyIfStored: boolean }
  | { readonly kind: "keyless"; readonly scope: string | undefined }
  | { readonly kind: "refused"; readonly code: ProblemCode; readonly detail: string }
  | { readonly kind: "no-scope"; readonly cause?: unknown };

/**
 * Reads a request. Runs after validation and authentication, so that a refused request spends no
 * key.
 *
 * @throws the error of option `scope` if it is an HTTP error of the caller (400–499). TypeError for
 *   a body that is a stream.
 */
export function readTicket(
  request: FastifyRequest,
  options: RouteOptions,
): MaybePromise<TicketReading> {
  const onlyIfStored = asksOnlyIfStored(request);
  const found = options.key === undefined ? headerKey(request) : optionKey(request, options.key);
  if (found.kind === "missing") {
    if (!options.required && !onlyIfStored) return readKeyless(request, options);
    return refused("idempotency_key_required", found.detail);
  }
  if (found.kind === "invalid") return refused("idempotency_key_invalid", found.detail);
  const { key } = found;
  let scope: MaybePromise<string | undefined>;
  try {
    scope = resolveScope(options.scope, request);
  } catch (cause) {
    return withoutScope(cause);
  }
  const finish = (named: string | undefined): TicketReading =>
    named === undefined
      ? { kind: "no-scope" }
      : { kind: "ticket", ticket: makeTicket(key, named, request, options), onlyIfStored };
  return scope instanceof Promise ? scope.then(finish, withoutScope) : finish(scope);
}

/** A request without a key needs no scope: one that cannot be had refuses nothing. */
function readKeyless(request: FastifyRequest, options: RouteOptions): MaybePromise<TicketReading> {
  const keyless = (scope?: string): TicketReading => ({ kind: "keyless", scope });
  if (options.scope === "single-tenant") return keyless();
  try {
    const scope = resolveScope(options.scope, request);
    return scope instanceof Promise ? scope.then(keyless, () => keyless()) : keyless(scope);
  } catch {
    return keyless();
  }
}

function makeTicket(
  key: string,
  scope: string,
  request: FastifyRequest,
  options: RouteOptions,
): Ticket {
  const arrival = request[ARRIVAL];
  if (arrival === null) throw new Error("the idempotency plugin's onRequest hook did not run");
  const { target } = arrival;
  const ticket: Ticket = {
    key,
    scope,
    target,
    fingerprint: arrival.fingerprint ?? lateFingerprint(request, options),
  };
  return Object.freeze({ ...ticket, id: ticketId(ticket) });
}

function withoutScope(cause: unknown): TicketReading {
  if (isCallersError(cause)) throw cause;
  return { kind: "no-scope", cause };
}

/** By the route's own option, or of a body that a hook behind ours has read, such as a multipart one. */
function lateFingerprint(request: FastifyRequest, { fingerprint }: RouteOptions): Buffer {
  if (fingerprint !== undefined) return fingerprintBy(fingerprint, request);
  const whole = fingerprintWhole(request);
  if (whole === undefined) throw unreadable();
  return whole;
}

function isCallersError(error: unknown): boolean {
  if (!(error instanceof Error) || !("statusCode" in error)) return false;
  const status = Number(error.statusCode);
  return status >= 400 && status < 500;
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
function keyHeaders({ raw: { rawHeaders } }: FastifyRequest): string[] {
  const found: string[] = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? "";
    if (name.length === HEADER.length && name.toLowerCase() === HEADER)
      found.push(rawHeaders[at + 1] ?? "");
  }
  return found;
}

const HEADER = IDEMPOTENCY_KEY.toLowerCase();

// Anything but a plain "no" counts as asked: where nothing may start, a value that we cannot read must not start anything.
function asksOnlyIfStored(request: FastifyRequest): boolean {
  const value = request.headers[IDEMPOTENCY_ONLY_IF_STORED.toLowerCase()];
  return value !== undefined && value !== "false" && value !== "?0";
}

function refused(code: ProblemCode, detail: string): TicketReading {
  return { kind: "refused", code, detail };
}

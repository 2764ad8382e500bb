/** From a request to its ticket, or to the reason why it gets none. */
import { createHash } from "node:crypto";
import { IDEMPOTENCY_KEY, IDEMPOTENCY_ONLY_IF_STORED, parseKey } from "@oncekey/shared";
import type { ProblemCode } from "@oncekey/shared";
import type { FastifyRequest } from "fastify";
import { fingerprint } from "../ticket/fingerprint.ts";
import type { RouteOptions } from "../options/options.ts";
import { resolveScope } from "../ticket/scope.ts";
import type { Ticket } from "../store/store.ts";

/** What a request asks for. `keyless`: it carries no key and none is required. */
export type Intake =
  | { readonly kind: "ticket"; readonly ticket: Ticket; readonly onlyIfStored: boolean }
  | { readonly kind: "keyless" }
  | { readonly kind: "refused"; readonly code: ProblemCode; readonly detail: string }
  | { readonly kind: "no-scope" };

// What the record's column takes. Longer ones keep their beginning, for people, and a digest, for identity.
const MAX_TARGET_BYTES = 512;

/** Reads a request. Runs after validation and authentication, so that a refused request spends no key. */
export function takeIn(request: FastifyRequest, options: RouteOptions): Intake {
  const onlyIfStored = asksOnlyIfStored(request);
  const values = keyHeaders(request);
  if (values.length === 0) {
    if (!options.required && !onlyIfStored) return { kind: "keyless" };
    return refused("idempotency_key_required", `The ${IDEMPOTENCY_KEY} header is missing`);
  }
  if (values.length > 1) {
    return refused(
      "idempotency_key_invalid",
      `The ${IDEMPOTENCY_KEY} header was sent more than once`,
    );
  }
  const parsed = parseKey(values[0] ?? "");
  if (parsed.kind === "invalid") {
    return refused("idempotency_key_invalid", `The ${IDEMPOTENCY_KEY} header ${parsed.reason}`);
  }
  const scope = resolveScope(options.scope, request);
  if (scope === undefined) return { kind: "no-scope" };
  const ticket: Ticket = Object.freeze({
    key: parsed.key,
    scope,
    target: target(request),
    fingerprint: fingerprint(request, options.fingerprint),
  });
  return { kind: "ticket", ticket, onlyIfStored };
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

function refused(code: ProblemCode, detail: string): Intake {
  return { kind: "refused", code, detail };
}

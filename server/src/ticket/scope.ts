/** Scope of a request: the owner of its key. */
import type { FastifyRequest } from "fastify";
import type { MaybePromise } from "../async/maybe-promise.ts";

/**
 * Names the owner of a key: a function of the request, which may be asynchronous, or the literal `'single-tenant'`, one scope for
 * all callers, chosen by name.
 */
export type ScopeOption = "single-tenant" | ((request: FastifyRequest) => string | Promise<string>);

/** Maximum size of the record's column, in bytes of UTF-8. */
const MAX_SCOPE_BYTES = 512;

/**
 * Returns the scope of a request, or `undefined` if the option returned no usable one: not a string, empty, above 512 bytes or with
 * a NUL character. No shared scope ever replaces it: two callers in one scope could read each other's responses.
 *
 * @throws what the option throws or rejects with.
 */
export function resolveScope(
  option: ScopeOption,
  request: FastifyRequest,
): MaybePromise<string | undefined> {
  if (option === "single-tenant") return option;
  const scope: unknown = option(request);
  // Awaited like any thenable, of whatever library it is.
  return isThenable(scope) ? Promise.resolve(scope).then(usable) : usable(scope);
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value;
}

function usable(scope: unknown): string | undefined {
  if (typeof scope !== "string" || scope === "" || scope.includes("\0")) return undefined;
  return Buffer.byteLength(scope) <= MAX_SCOPE_BYTES ? scope : undefined;
}

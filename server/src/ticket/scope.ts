import type { FastifyRequest } from "fastify";

/** Whose key it is, or the literal `'single-tenant'`: one scope for all callers, chosen by name. */
export type ScopeOption = "single-tenant" | ((request: FastifyRequest) => string);

/** What the record's column takes, in bytes of UTF-8. */
const MAX_SCOPE_BYTES = 512;

/**
 * The scope of a request, or `undefined` where the option returned no usable one: not a string, empty, above 512 bytes or with a
 * NUL character. It is never replaced by a shared one: two callers in one scope could read each other's responses.
 */
export function resolveScope(option: ScopeOption, request: FastifyRequest): string | undefined {
  if (option === "single-tenant") return option;
  const scope: unknown = option(request);
  if (typeof scope !== "string" || scope === "" || scope.includes("\0")) return undefined;
  return Buffer.byteLength(scope) <= MAX_SCOPE_BYTES ? scope : undefined;
}

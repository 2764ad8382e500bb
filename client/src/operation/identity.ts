/** The default identity of an input. */
import { digest } from "../records/record-names.ts";
import type { SerialBody } from "../wire/body.ts";
import { canonicalJson } from "../wire/request.ts";
import type { PreparedRequest } from "../wire/request.ts";
import type { Preparation } from "./run.ts";

/**
 * Returns method, target and canonical JSON of a request as a text. Neither headers nor origin count: a renewed token, another trace
 * or another spelling of the base URL is the same operation.
 */
export function identityOf(preparation: Preparation): string {
  const { method, url, headers, body } = preparation as PreparedRequest;
  const { pathname, search } = new URL(url);
  return canonicalJson([method, pathname + search, contentOf(headers["content-type"], body)]);
}

/** Whether a request can be compared at once: the content of a Blob or a FormData would have to be read. */
export function isComparable(preparation: Preparation): boolean {
  return typeof preparation !== "function" && !(preparation.body instanceof Blob);
}

function contentOf(type: string | undefined, body: SerialBody["body"]): unknown {
  if (body instanceof Uint8Array) return [digest(body)];
  if (typeof body !== "string" || type !== "application/json") return body ?? null;
  try {
    return JSON.parse(body) as unknown;
  } catch {
    return body;
  }
}

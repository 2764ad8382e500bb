/** What makes two inputs the same operation, if the operation does not say so itself. */
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

function contentOf(type: string | undefined, body: string | undefined): unknown {
  if (body === undefined || type !== "application/json") return body ?? null;
  try {
    return JSON.parse(body) as unknown;
  } catch {
    return body;
  }
}

/** A response that no handler gave, as it is stored: of `onCrash`, or of a person. */
import type { CrashResponse } from "../options/on-crash.ts";
import type { RouteOptions } from "../options/options.ts";
import type { StoredResponse } from "../store/store.ts";
import { keptHeaders } from "./capture.ts";

/** The response for the caller, and what is stored of it. */
export interface Decided {
  readonly response: StoredResponse;
  /** The stored response, if it is not the response itself. */
  readonly kept?: StoredResponse;
}

/**
 * Makes the stored form, limited as a handler's reply is: the caller gets it whole, and a body above
 * the limit is not kept.
 *
 * @throws TypeError for a body that is no JSON.
 */
export function toStored(
  { status, headers = {}, body }: CrashResponse,
  { storeHeaders, maxResponseBytes }: Pick<RouteOptions, "storeHeaders" | "maxResponseBytes">,
): Decided {
  const isRaw = typeof body === "string" || body instanceof Uint8Array;
  const names = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
  );
  const typed =
    isRaw || body === undefined
      ? names
      : { "content-type": "application/json; charset=utf-8", ...names };
  const bytes =
    body === undefined ? Buffer.alloc(0) : Buffer.from(isRaw ? body : JSON.stringify(body));
  const response = { status, headers: keptHeaders(typed, storeHeaders), body: bytes };
  return bytes.length <= maxResponseBytes
    ? { response }
    : { response, kept: { ...response, body: undefined } };
}

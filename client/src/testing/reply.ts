/** The replies of the contract, header by header. */
import {
  createProblem,
  formatKey,
  IDEMPOTENCY_KEY,
  IDEMPOTENCY_KEY_LIFETIME,
  IDEMPOTENCY_MISMATCH,
  IDEMPOTENT_REPLAYED,
  PROBLEM_CONTENT_TYPE,
} from "@oncekey/shared";
import type { ProblemCode } from "@oncekey/shared";
import type { StoredResponse } from "./ledger.ts";

/** The members of every reply of a protected route. */
export interface Acknowledgement {
  readonly key: string | undefined;
  readonly lifetimeMs: number;
}

/** Adds the contract's headers to a resolver's response. */
export function acknowledge(response: Response, { key, lifetimeMs }: Acknowledgement): Response {
  const headers = new Headers(response.headers);
  // Lets a client distinguish a wrong clock from an expired key.
  headers.set("date", new Date().toUTCString());
  if (key !== undefined) {
    headers.set(IDEMPOTENCY_KEY, formatKey(key));
    headers.set(IDEMPOTENCY_KEY_LIFETIME, String(Math.floor(lifetimeMs / 1000)));
  }
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers });
}

/** Returns a problem document. */
export function refuse(
  code: ProblemCode,
  detail: string,
  acknowledgement: Acknowledgement,
  originalStatus?: number,
): Response {
  const problem = createProblem(code, { detail, originalStatus });
  const headers = new Headers({
    "content-type": PROBLEM_CONTENT_TYPE,
    "cache-control": "no-store",
    ...(problem.retryable ? { "retry-after": "1" } : {}),
  });
  const response = new Response(JSON.stringify(problem), { status: problem.status, headers });
  return acknowledge(response, acknowledgement);
}

/** Returns the replay of a stored response. */
export function replay(
  { status, headers: stored, bytes }: StoredResponse,
  acknowledgement: Acknowledgement,
  isMismatch: boolean,
): Response {
  if (bytes === undefined)
    return notStored(status, "its body could not be kept", acknowledgement, isMismatch);
  const headers = new Headers(stored);
  headers.set(IDEMPOTENT_REPLAYED, "true");
  headers.set("cache-control", "no-store");
  if (isMismatch) headers.set(IDEMPOTENCY_MISMATCH, "true");
  const body = bytes.byteLength === 0 ? null : bytes;
  return acknowledge(new Response(body, { status, headers }), acknowledgement);
}

/** Answers a repeat whose response has expired. */
export function gone(
  { status }: StoredResponse,
  acknowledgement: Acknowledgement,
  isMismatch: boolean,
): Response {
  return notStored(status, "the response is no longer kept", acknowledgement, isMismatch);
}

function notStored(
  status: number,
  why: string,
  acknowledgement: Acknowledgement,
  isMismatch: boolean,
): Response {
  const detail = `The request was done and answered with status ${status}; ${why}`;
  const refusal = refuse("idempotency_response_not_stored", detail, acknowledgement, status);
  if (isMismatch) refusal.headers.set(IDEMPOTENCY_MISMATCH, "true");
  return refusal;
}

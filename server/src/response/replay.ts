/** Answers without running the handler: stored responses and problem documents. */
import {
  createProblem,
  IDEMPOTENCY_KEY,
  IDEMPOTENCY_KEY_LIFETIME,
  IDEMPOTENCY_MISMATCH,
  IDEMPOTENT_REPLAYED,
  PROBLEM_BASE_URI,
  PROBLEM_CONTENT_TYPE,
  PROBLEMS,
  formatKey,
} from "@oncekey/shared";
import type { ProblemCode } from "@oncekey/shared";
import type { FastifyReply } from "fastify";
import type { RouteOptions } from "../options/options.ts";
import type { StoredRecord, StoredResponse } from "../store/store.ts";

// The shortest wait in whole seconds. The duplicate has already been held for `waitMs`.
const RETRY_AFTER_S = "1";

// One page for each code.
const RUNBOOK = "https://github.com/oncekey/oncekey/blob/main/docs/runbook";

/** A refusal as a value: everything but the body. */
export interface Refusal {
  readonly code: ProblemCode;
  readonly detail: string;
  readonly originalStatus?: number;
}

/** Sets the key's echo and lifetime on a reply to a request that has a key. */
export function acknowledge(
  reply: FastifyReply,
  key: string | undefined,
  lifetimeMs: number,
): void {
  if (key === undefined) return;
  setLifetime(reply, lifetimeMs);
  reply.header(IDEMPOTENCY_KEY, formatKey(key));
}

/** Sets the lifetime of a key that is acknowledged already. */
export function setLifetime(reply: FastifyReply, lifetimeMs: number): void {
  reply.header(IDEMPOTENCY_KEY_LIFETIME, String(Math.max(0, Math.floor(lifetimeMs / 1000))));
}

/** Sets status and headers of a problem document and returns its body, as bytes: nothing of the route may reshape or relabel it. */
export function writeProblem(reply: FastifyReply, refusal: Refusal, options: RouteOptions): Buffer {
  const { code, detail, originalStatus } = refusal;
  const { status, retryable } = PROBLEMS[code];
  const problem = createProblem(code, { detail, originalStatus, baseUri: options.problemBaseUri });
  reply.code(status).type(PROBLEM_CONTENT_TYPE).header("cache-control", "no-store");
  const link = docsLink(code, options);
  if (link !== undefined) reply.header("link", link);
  if (retryable) reply.header("retry-after", RETRY_AFTER_S);
  return Buffer.from(JSON.stringify(problem));
}

/** Returns the `Link` header of a problem: its page in the runbook, or the page of option `docsUrl`. */
export function docsLink(code: ProblemCode, options: RouteOptions): string | undefined {
  const { docsUrl = `${RUNBOOK}/${code}.md` } = options;
  return docsUrl === false ? undefined : `<${docsUrl}>; rel="describedby"`;
}

/** An error of the application, outside of the contract's codes. */
export interface ServerError {
  readonly code: string;
  readonly title: string;
  readonly detail: string;
}

/** Sets status and headers of a 500 that no retry can mend and returns its problem document. */
export function writeServerError(
  reply: FastifyReply,
  { code, title, detail }: ServerError,
  options: RouteOptions,
): Buffer {
  const type = `${options.problemBaseUri ?? PROBLEM_BASE_URI}${code}`;
  reply.code(500).type(PROBLEM_CONTENT_TYPE).header("cache-control", "no-store");
  return Buffer.from(JSON.stringify({ type, title, status: 500, detail, code, retryable: false }));
}

/** Sets status and headers of a replay and returns the stored bytes. */
export function writeReplay(
  reply: FastifyReply,
  response: StoredResponse,
  isMismatch: boolean,
): Buffer | undefined {
  reply.code(response.status);
  for (const [name, value] of grouped(response.headers)) reply.header(name, value);
  reply.header(IDEMPOTENT_REPLAYED, "true").header("cache-control", "no-store");
  if (isMismatch) reply.header(IDEMPOTENCY_MISMATCH, "true");
  return response.body === undefined || response.body.length === 0 ? undefined : response.body;
}

/** Why a record cannot be replayed to this request, if so. */
export function refusalOf(
  record: StoredRecord,
  isMismatch: boolean,
  options: RouteOptions,
): Refusal | undefined {
  if (isMismatch && options.mismatch === "reject") return conflict();
  const { status, body } = record.response;
  if (body !== undefined) return undefined;
  const why = record.isTombstone ? "the response is no longer kept" : "its body could not be kept";
  return {
    code: "idempotency_response_not_stored",
    detail: `The request was done and answered with status ${status}; ${why}`,
    originalStatus: status,
  };
}

/**
 * Marks a refusal that stands for another request's response. Without the mark the caller would
 * take it for the outcome of its own request. A 422 needs no mark.
 */
export function markRefusal(
  reply: FastifyReply,
  isMismatch: boolean,
  { mismatch }: RouteOptions,
): void {
  if (isMismatch && mismatch === "replay") reply.header(IDEMPOTENCY_MISMATCH, "true");
}

export function conflict(): Refusal {
  return {
    code: "idempotency_conflict",
    detail: "This key was first used for a different request",
  };
}

/** Removes the handler's headers about a body that is not sent after all. */
export function clearContent(reply: FastifyReply, storeHeaders: ReadonlySet<string>): void {
  for (const name of Object.keys(reply.getHeaders())) {
    if (storeHeaders.has(name) || name.startsWith("content-") || name === "set-cookie") {
      reply.removeHeader(name);
    }
  }
}

function grouped(headers: StoredResponse["headers"]): Map<string, string | string[]> {
  const values = new Map<string, string | string[]>();
  for (const [name, value] of headers) {
    const before = values.get(name);
    values.set(name, before === undefined ? value : [before, value].flat());
  }
  return values;
}

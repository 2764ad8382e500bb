/** A drop-in `fetch` that sends one key for one call: for React Native, Workers and generated clients. */
import {
  KEY_RULE,
  formatKey,
  IDEMPOTENCY_KEY,
  IdempotencyError,
  KeyConflictError,
  isKey,
} from "@oncekey/shared";
import type { ErrorMaker } from "@oncekey/shared";
import { sendUntilSettled } from "./retry/retry-loop.ts";
import type { LoopResult } from "./retry/loop-result.ts";
import { createRetryBudget } from "./options/backoff.ts";
import { createReport } from "./options/events.ts";
import { mintKey } from "./options/key.ts";
import type { KeyOption } from "./options/key.ts";
import type { LoopParts } from "./retry/loop-state.ts";
import { withinLimit } from "./wire/timeout.ts";
import { isMembers } from "./validation/is-object.ts";
import { checkOptions, isFunction, show } from "./validation/check.ts";
import type { Repeat } from "./retry/repeat.ts";
import { readWhole, responseOf } from "./wire/answer.ts";
import { membersOf } from "./wire/members.ts";
import { isAgain } from "./retry/again.ts";
import type { Send } from "./wire/send.ts";
import { resolveSending, SENDING_CHECKS } from "./options/retry-options.ts";
import type { SendingOptions } from "./options/retry-options.ts";
import { createWarn } from "./options/warnings.ts";

export { IdempotencyError, KeyConflictError, isIdempotencyError } from "@oncekey/shared";
export type { BackoffOptions } from "./options/backoff.ts";
export type { AttemptEvent, EventCallbacks, WaitEvent } from "./options/events.ts";
export type { KeyOption } from "./options/key.ts";
export type { RetryOptions, SendingOptions } from "./options/retry-options.ts";
export type { Warning, WarningCode } from "./options/warnings.ts";

/** The options of {@link createIdempotentFetch}, all of them optional. */
export interface FetchOptions extends SendingOptions {
  /** Sends a request, called with a URL and options. Default: the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined;
  /**
   * Which requests get a key; all others go straight through. Default: in a page those to its own origin, elsewhere all. A key that
   * the caller gives is sent in any case.
   */
  readonly include?: ((request: Request) => boolean) | undefined;
}

/** Options of one call: those of `fetch`, and `repeat`. */
export interface IdempotentInit extends RequestInit {
  /**
   * Whether the key in `Idempotency-Key` was sent before, so that a refusal does not settle the call.
   *
   * @default false
   */
  readonly repeat?: boolean | undefined;
}

/** A `fetch` that sends keys. */
export type IdempotentFetch = (
  input: RequestInfo | URL,
  init?: IdempotentInit,
) => Promise<Response>;

const CHECKS = { ...SENDING_CHECKS, fetch: isFunction, include: isFunction };

// As with the server's `global`. PUT and DELETE, which HTTP calls idempotent, get a key if the caller gives one.
const KEYED = /^(POST|PATCH)$/i;
const SAFE = /^(GET|HEAD|OPTIONS|TRACE)$/i;

/**
 * Makes a `fetch` that sends each POST and PATCH with a key, and again with the same key and the
 * same bytes until its answer is final. A key that the caller puts into `Idempotency-Key` is used
 * as it is, with PUT and DELETE too; `repeat: true` marks a key that was sent before. Everything
 * else goes straight through, `mode: 'no-cors'` included, which can carry no key. Calls share only
 * the retry budget. Two calls are two operations, and a reload loses them.
 *
 * The result resolves as `fetch` does, to the server's own response of any status: 402 resolves. It
 * resolves when the whole body has arrived, so it does not fit a stream of events. It rejects with
 * - `outcome_unknown` if no answer settled it: the network, the deadline, an abort after the
 *   request had left (see its `cause`), a 5xx that stayed, or a refusal of a gateway after a lost
 *   reply. To go on, call it again with `error.key` in `Idempotency-Key` and `repeat: true`.
 * - `unexpected_answer` for a page in the place of JSON, such as a login page.
 * - `idempotency_conflict` if the answer is to another request that used the key, whether as a
 *   marked replay or as 422.
 * - the signal's reason if it aborted before anything was sent, and `TypeError` for a request that
 *   cannot be sent again.
 *
 * @throws TypeError or RangeError that names a wrong option and what is allowed.
 * @example
 * const api = createClient<paths>({ baseUrl, fetch: createIdempotentFetch() }) // openapi-fetch
 */
export function createIdempotentFetch(options: FetchOptions = {}): IdempotentFetch {
  checkOptions(options, CHECKS, "");
  const policy = resolveSending(options);
  const { include = isSameOrigin } = options;
  const parts: Omit<LoopParts, "send"> = {
    repeat,
    budget: createRetryBudget(options.retryBudget),
    warn: createWarn(options.onWarning),
    createError,
    echoing: new Set<string>(),
    renewal: undefined,
  };
  return async (input, init) => {
    const fetch = options.fetch ?? globalThis.fetch;
    const { method, given } = lookAt(input, init);
    if (SAFE.test(method) || (given === null && !KEYED.test(method))) return fetch(input, init);
    if (isNoCors(input, init)) return fetch(input, init);
    const request = new Request(input, init);
    if (given === null && !include(request)) return fetch(request, moreOf(init));
    refuseStream(init?.body);
    const key = keyOf(given, options.key);
    if (given === null) request.headers.set(IDEMPOTENCY_KEY, formatKey(key, options.keyFormat));
    const { url, signal, headers } = request;
    const attempt = await createAttempt(request, init);
    const send: Send = (_prepared, _key, limit) =>
      withinLimit(limit, async (within) => {
        limit.onSent();
        return readWhole(await attempt(fetch, within), headers, true);
      });
    const prepared = { method, url, headers: Object.fromEntries(headers), body: undefined };
    const report = createReport(parts.warn, { key }, [options]);
    const isUnresolved = init?.repeat === true;
    const call = { request: prepared, key, policy, signal, isUnresolved, report };
    return conclude(await sendUntilSettled({ ...parts, send }, call), request);
  };
}

type Attempt = (fetch: typeof globalThis.fetch, signal: AbortSignal) => Promise<Response>;

/** Makes the function that sends a request with the same bytes each time, the boundary of a form among them. */
async function createAttempt(request: Request, init: IdempotentInit | undefined): Promise<Attempt> {
  const { url, method, headers } = request;
  const text = typeof init?.body === "string" ? init.body : undefined;
  // React Native reads no bytes: there its own Request keeps them.
  const bytes =
    text ??
    (await request
      .clone()
      .arrayBuffer()
      .catch(() => undefined));
  if (bytes === undefined) {
    return (fetch, signal) => fetch(request.clone(), { ...moreOf(init), signal });
  }
  const body = typeof bytes === "string" || bytes.byteLength > 0 ? { body: bytes } : {};
  const whole = { ...membersOf(request), ...moreOf(init), method, headers, ...body };
  return (fetch, signal) => fetch(url, { ...whole, signal });
}

/** Returns the options that no Request keeps, such as a framework's own members. */
function moreOf(init: IdempotentInit | undefined): RequestInit {
  const { method: _method, headers: _headers, body: _body, repeat: _repeat, ...more } = init ?? {};
  return more;
}

function isSameOrigin({ url }: Request): boolean {
  const page = globalThis.location?.origin;
  return page === undefined || page === new URL(url).origin;
}

// Its answer cannot be read, and our header would be left out.
function isNoCors(input: RequestInfo | URL, init: RequestInit | undefined): boolean {
  return (init?.mode ?? (input as Partial<Request>).mode) === "no-cors";
}

function lookAt(
  input: RequestInfo | URL,
  init: RequestInit | undefined,
): { readonly method: string; readonly given: string | null } {
  // Neither a text nor a URL has any of them.
  const { method = "GET", headers } = input as Partial<Request>;
  const given = new Headers(init?.headers ?? headers).get(IDEMPOTENCY_KEY);
  return { method: init?.method ?? method, given };
}

function refuseStream(body: unknown): void {
  if (!isMembers(body) || !("getReader" in body || Symbol.asyncIterator in body)) return;
  throw new TypeError("body must not be a stream, which can be sent only once");
}

/** @throws TypeError if the header's value is no key. */
function keyOf(given: string | null, option: KeyOption | undefined): string {
  if (given === null) return mintKey(option);
  const key = given.replace(/^"(.*)"$/, "$1");
  if (isKey(key)) return key;
  throw new TypeError(`${IDEMPOTENCY_KEY} must be ${KEY_RULE}, got ${show(given)}`);
}

function conclude(result: LoopResult, { redirect }: Request): Response {
  const { answer } = result.told;
  const response = answer?.response;
  switch (result.kind) {
    case "done":
      return responseOf(answer, result.status);
    case "rejected":
      if (response === undefined || result.error.code === "idempotency_conflict") {
        throw result.error;
      }
      return response;
    case "unsent":
      throw result.error.cause;
    case "unknown":
      // To follow the redirect is then the caller's own matter, and the answer is what was asked for.
      if (redirect === "manual" && isRedirect(response)) return response;
      throw result.error;
    default:
      return result satisfies never;
  }
}

// In a page it shows nothing but that it is one: status 0.
function isRedirect(response: Response | undefined): response is Response {
  return response !== undefined && !response.ok && response.status < 400;
}

/** The plain way: p-retry is for the client, and here it would be a quarter of the bundle. */
const repeat: Repeat = async ({ once, next }) => {
  for (let retries = 0; ;) {
    const result = await once();
    if (!isAgain(result)) return result;
    const end = await next(result, retries);
    if (end !== undefined) return end;
    if (result.kind === "retry") retries += 1;
  }
};

/** Makes errors with the class of the one refusal that always rejects here. */
const createError: ErrorMaker = (message, code, details) =>
  code === "idempotency_conflict"
    ? new KeyConflictError(message, details)
    : new IdempotencyError(message, code, details);

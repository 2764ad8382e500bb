/** A drop-in `fetch` that sends one key for one call: for React Native, Workers and generated clients. */
import {
  formatKey,
  IDEMPOTENCY_KEY,
  IdempotencyError,
  KeyConflictError,
  readKey,
} from "@oncekey/shared";
import type { ErrorMaker } from "@oncekey/shared";
import { sendUntilSettled } from "./retry/retry-loop.ts";
import type { Settlement } from "./retry/retry-loop.ts";
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
  /** What sends. Default the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined;
}

const CHECKS = { ...SENDING_CHECKS, fetch: isFunction };

// As the server's `global` has it. What HTTP calls idempotent, PUT and DELETE, gets a key where the caller gives one.
const KEYED = /^(POST|PATCH)$/i;
const SAFE = /^(GET|HEAD|OPTIONS|TRACE)$/i;

/**
 * Makes a `fetch` that sends each POST and PATCH with a key, and again with the same key and the same bytes until its answer is
 * final. A key that the caller puts into `Idempotency-Key` is used as it is, with PUT and DELETE too. Everything else goes
 * straight through. Calls share nothing but the retry budget: two of them are two operations, and nothing is kept through a reload.
 *
 * What it makes resolves as `fetch` does, to the server's own response, whatever its status: 402 resolves. Only once the body has
 * come whole: a stream of events does not fit in here. It rejects with
 * - the code `outcome_unknown` where no answer settled it: the network, the deadline, an abort after the request had left (its `cause`
 *   says so), or a 5xx that stayed. To go on, call it again with `error.key` in `Idempotency-Key`.
 * - `KeyConflictError` where the answer is to another request that used the key, whether as a marked replay or as 422.
 * - the signal's reason where it aborted before anything was sent, and `TypeError` for a request that cannot be sent again.
 *
 * @throws TypeError or RangeError that names a wrong option and what is allowed.
 * @example
 * const api = createClient<paths>({ baseUrl, fetch: createIdempotentFetch() }) // openapi-fetch
 */
export function createIdempotentFetch(options: FetchOptions = {}): typeof globalThis.fetch {
  checkOptions(options, CHECKS, "");
  const policy = resolveSending(options);
  const parts: Omit<LoopParts, "send"> = {
    repeat,
    budget: createRetryBudget(options.retryBudget),
    warn: createWarn(options.onWarning),
    createError,
    renew: undefined,
  };
  return async (input, init) => {
    const fetch = options.fetch ?? globalThis.fetch;
    const { method, given } = lookAt(input, init);
    if (SAFE.test(method) || (given === null && !KEYED.test(method))) return fetch(input, init);
    refuseStream(init?.body);
    const key = keyOf(given, options.key);
    const request = new Request(input, init);
    if (given === null) request.headers.set(IDEMPOTENCY_KEY, formatKey(key, options.keyFormat));
    const { url, signal } = request;
    const send: Send = (_prepared, _key, limit) =>
      withinLimit(limit, async (within) => {
        // A clone of the one request: its bytes are the same each time, a form's boundary among them.
        const attempt = request.clone();
        limit.onSent();
        const response = await fetch(attempt, { ...moreOf(init), signal: within });
        return readWhole(response, request.headers.get("accept") ?? "*/*");
      });
    const prepared = { method, url, headers: {}, body: undefined };
    const report = createReport(parts.warn, { key }, [options]);
    const call = { request: prepared, key, policy, signal, isUnresolved: given !== null, report };
    return conclude(await sendUntilSettled({ ...parts, send }, call), request);
  };
}

/** What no Request keeps, such as a framework's own members. The rest is in the request, and once more would be made anew. */
function moreOf(init: RequestInit | undefined): RequestInit {
  const more = { ...init };
  delete more.method;
  delete more.headers;
  delete more.body;
  return more;
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
  throw new TypeError(
    "a body that is a stream can be sent only once; read it into text, bytes or a Blob first",
  );
}

/** @throws TypeError if the header's value is no key. */
function keyOf(given: string | null, option: KeyOption | undefined): string {
  if (given === null) return mintKey(option);
  const key = readKey(given);
  if (key !== undefined) return key;
  const allowed = "1 to 255 visible ASCII characters";
  throw new TypeError(`the header ${IDEMPOTENCY_KEY} must be ${allowed}, got ${show(given)}`);
}

function conclude({ ending, answer }: Settlement, { redirect }: Request): Response {
  const response = answer?.response;
  switch (ending.kind) {
    case "done":
      return responseOf(answer, ending.status);
    case "rejected":
      if (response === undefined || ending.error.code === "idempotency_conflict") {
        throw ending.error;
      }
      return response;
    case "unsent":
      throw ending.error.cause;
    case "unknown":
      // To follow the redirect is then the caller's own matter, and the answer is what was asked for.
      if (redirect === "manual" && isRedirect(response)) return response;
      throw ending.error;
    default:
      return ending satisfies never;
  }
}

// In a page it shows nothing but that it is one: status 0.
function isRedirect(response: Response | undefined): response is Response {
  return response !== undefined && !response.ok && response.status < 400;
}

/** The plain way: p-retry is for the client, and here it would be a quarter of the bundle. */
const repeat: Repeat = async (once) => {
  for (;;) {
    const result = await once();
    if (result !== undefined) return result;
  }
};

/** A class of its own for the one refusal that is always an error here; others are told apart by their code. */
const createError: ErrorMaker = (message, code, details) =>
  code === "idempotency_conflict"
    ? new KeyConflictError(message, details)
    : new IdempotencyError(message, code, details);

/** Calls without an operation: one key for one call, kept through its retries and nothing else. */
import { formatKey } from "@oncekey/shared";
import { sendUntilSettled } from "./retry/retry-loop.ts";
import type { LoopResult } from "./retry/loop-result.ts";
import { createReport } from "./options/events.ts";
import type { ClientContext } from "./operation/operation-run.ts";
import type { RetryPolicy } from "./options/client-options.ts";
import { prepareRequest } from "./wire/request.ts";
import type { RequestMethod, RequestSpec, UrlBase } from "./wire/request.ts";
import { responseOf } from "./wire/answer.ts";

/** The request of a plain call, and its key. */
export interface PlainCallOptions extends Omit<RequestSpec, "method" | "path"> {
  /** A key of one's own, 1–255 visible ASCII characters, to send or to repeat a call under. Default: a new one. */
  readonly key?: string | undefined;
  /**
   * Whether `key` was sent before, so that a refusal does not settle the call.
   *
   * @default false
   */
  readonly repeat?: boolean | undefined;
  /** Stops waiting and sending. Once the request has left, how it ended is not known: code `outcome_unknown`. */
  readonly signal?: AbortSignal | undefined;
}

/** A `Response` whose body has come whole, with its readers at hand before it is awaited. */
export interface ResponsePromise extends Promise<Response> {
  /** The parsed body. @throws SyntaxError if the body is not JSON, and what the call throws. */
  readonly json: <Value = unknown>() => Promise<Value>;
  readonly text: () => Promise<string>;
}

/**
 * Sends a request until its answer is final.
 *
 * @param path below ky's `prefix`, with or without a leading slash, or an absolute URL.
 * @throws IdempotencyError, by rejecting, unless the answer is a success. Its `key` repeats the call.
 * @throws TypeError or RangeError, by rejecting, if the request cannot be sent again as it is, or the key is none.
 */
export type PlainCall = (path: string, options?: PlainCallOptions) => ResponsePromise;

export function createPlainCall(
  { loop, minter, listener }: Pick<ClientContext, "loop" | "minter" | "listener">,
  base: UrlBase,
  policy: RetryPolicy,
  method: RequestMethod,
): PlainCall {
  async function call(path: string, options: PlainCallOptions): Promise<Response> {
    const { key: own, repeat = false, signal, ...spec } = options;
    // Checks it, before anything is sent.
    if (own !== undefined) formatKey(own);
    const prepared = prepareRequest({ ...spec, method, path }, base);
    const request = typeof prepared === "function" ? await prepared() : prepared;
    const send = (key: string): Promise<LoopResult> => {
      const report = createReport(loop.warn, { key }, [listener]);
      const input = { request, key, policy, signal, isUnresolved: repeat, report, keepsBody: true };
      return sendUntilSettled(loop, input);
    };
    const renew = own === undefined ? () => send(minter.mint()) : undefined;
    const result = await minter.sendFresh(send(own ?? minter.mint()), renew);
    if (result.kind === "done") return responseOf(result.told.answer, result.status);
    throw result.error;
  }
  return (path, options = {}) => {
    const response = call(path, options);
    return Object.assign(response, {
      json: async <Value>() => (await (await response).json()) as Value,
      text: async () => (await response).text(),
    });
  };
}

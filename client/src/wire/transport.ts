/** Sends one attempt through ky. Its hooks see the request; the last step restores what they may not change. */
import { isStandIn } from "./before-ky.ts";
import ky from "ky";
import type { KyInstance, Options as KyOptions } from "ky";
import { IDEMPOTENCY_KEY } from "@oncekey/shared";
import type { ClientOptions } from "../options/client-options.ts";
import type { SerialBody } from "./body.ts";
import type { UrlBase } from "./request.ts";
import { isJson, parseJson, readWhole } from "./answer.ts";
import type { Answer } from "./answer.ts";
import { membersOf } from "./members.ts";
import { HookError } from "./hook-error.ts";
import { reasonOf } from "./timeout.ts";

// No other library may take the stand-in for a real one.
if (isStandIn) Reflect.deleteProperty(globalThis, "TextEncoder");

/** One attempt, ready to leave. */
export interface Outgoing {
  readonly url: string;
  readonly method: string;
  /** Headers of the request itself, with its key. */
  readonly headers: Headers;
  readonly body: SerialBody["body"];
  readonly keepalive: boolean;
  readonly signal: AbortSignal;
  /** Whether the caller reads the body of the response. */
  readonly keepsBody: boolean | undefined;
  /** Called when the request is handed to `fetch`. Throws if it is too late to send. */
  readonly onSent: () => void;
}

export interface Transport {
  /** The instance's prefix, base URL and search parameters. */
  readonly base: UrlBase;
  /** @throws HookError if a hook failed before anything was sent; otherwise what the network throws. */
  readonly exchange: (outgoing: Outgoing) => Promise<Answer>;
}

// The loop is ours. Only `ky.retry()` in a hook repeats an attempt, once and at once.
const RETRY = { limit: 1, shouldRetry: () => false, delay: () => 0, jitter: false };

const JSON_TYPE = "application/json";

/** @param option an instance of ky 2, or ky's own options. */
export function createTransport(option: ClientOptions["ky"] = {}): Transport {
  const api = typeof option === "function" ? option : ky.create(option as KyOptions);
  let base: UrlBase = {};
  api.extend((defaults) => {
    base = defaults;
    return {};
  });
  return { base, exchange: (outgoing) => exchange(api, outgoing) };
}

async function exchange(api: KyInstance, outgoing: Outgoing): Promise<Answer> {
  const { url, headers, signal, keepalive } = outgoing;
  const state: ExchangeState = {};
  try {
    // A URL, because ky puts its prefix before every string.
    const response = await api(new URL(url), {
      headers,
      signal,
      keepalive,
      searchParams: undefined,
      // Hooks of one kind run in order: this one has the last word.
      hooks: { init: [(options) => takeOver(options, outgoing, state)] },
    });
    return await readValue(response, state);
  } catch (error) {
    const { failure, wire, asked } = state;
    if (wire !== undefined) return { ...wire, value: { error } };
    if (failure === undefined) throw new HookError(error);
    // If it was the signal of the attempt, the attempt has ended before, with the reason of that.
    throw asked?.signal?.aborted ? new HookError(failure.cause) : failure.cause;
  }
}

/** State of an attempt while ky handles it. */
interface ExchangeState {
  asked?: Request;
  /** The answer that came over the wire last. */
  wire?: Answer | undefined;
  /** The last error of the network. */
  failure?: { readonly cause: unknown } | undefined;
  parse?: KyOptions["parseJson"];
  /** Whether the caller or a hook reads the body of the response. */
  keepsBody?: boolean | undefined;
}

function takeOver(options: KyOptions, outgoing: Outgoing, state: ExchangeState): void {
  const { fetch: send = globalThis.fetch, parseJson: parse, hooks, onDownloadProgress } = options;
  const { method, body } = outgoing;
  state.parse = parse;
  const hasReader = onDownloadProgress !== undefined || hooks?.afterResponse?.length !== 0;
  state.keepsBody = outgoing.keepsBody || hasReader;
  Object.assign(options, {
    method,
    body,
    json: undefined,
    retry: RETRY,
    timeout: false,
    totalTimeout: false,
    throwHttpErrors: false,
    fetch: (asked: Request, more: RequestInit) => sendAsked(send, asked, more, outgoing, state),
  });
}

/** Sends as the last step: restores method, key, body and content type, whatever the hooks did. */
async function sendAsked(
  send: NonNullable<KyOptions["fetch"]>,
  asked: Request,
  more: RequestInit,
  { method, headers, body, onSent }: Outgoing,
  state: ExchangeState,
): Promise<Response> {
  Object.assign(state, { asked, wire: undefined, failure: undefined });
  try {
    const sent = new Headers(asked.headers);
    for (const name of [IDEMPOTENCY_KEY, "content-type"]) {
      const own = headers.get(name);
      if (own !== null) sent.set(name, own);
    }
    if (!sent.has("accept")) sent.set("accept", JSON_TYPE);
    if (asked.signal.aborted) throw reasonOf(asked.signal);
    const { signal } = asked;
    const init = { ...more, ...membersOf(asked), method, headers: sent, signal };
    const whole = body === undefined ? init : { ...init, body };
    onSent();
    // As a URL and its options: not every fetch takes the Request of another.
    const response = await send(asked.url, whole);
    state.wire = await readWhole(response, sent, state.keepsBody);
    return response;
  } catch (cause) {
    state.failure = { cause };
    throw cause;
  }
}

/** The answer of the wire, with the value that hooks and `parseJson` made of it. */
async function readValue(
  response: Response | undefined,
  { wire, asked, parse, keepsBody }: ExchangeState,
): Promise<Answer> {
  // `ky.stop` in a hook leaves nothing but what came over the wire.
  if (response === undefined) return wire ?? refuseNothing();
  // A hook answered by itself: nothing was sent, and its answer counts.
  const answer = wire ?? (await readWhole(response, new Headers({ accept: JSON_TYPE }), keepsBody));
  const text = response === answer.response ? answer.text : await response.clone().text();
  const whole = { ...answer, response };
  if (text === "" || !(isJson(response.headers) || isJson(answer.headers))) {
    return { ...whole, value: { value: text === "" ? undefined : text } };
  }
  if (parse === undefined || asked === undefined) return { ...whole, value: parseJson(text) };
  try {
    return { ...whole, value: { value: await parse(text, { request: asked, response }) } };
  } catch (error) {
    return { ...whole, value: { error } };
  }
}

function refuseNothing(): never {
  throw new TypeError("a hook stopped the request");
}

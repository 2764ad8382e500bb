/** One attempt on the wire: a request goes out, and its whole answer comes back or does not. */
import { formatKey, IDEMPOTENCY_KEY, IDEMPOTENCY_ONLY_IF_STORED } from "@oncekey/shared";
import { openBody } from "./body.ts";
import { reasonOf, withinLimit } from "./timeout.ts";
import type { Limit } from "./timeout.ts";
import type { ClientOptions } from "../options/client-options.ts";
import type { PreparedRequest } from "./request.ts";

/** An answer that arrived whole. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** The body. */
  readonly text: string;
  readonly isRedirected: boolean;
  /** As it came, with its body still to be read. */
  readonly response: Response;
}

export type SendOptions = Pick<
  ClientOptions,
  "fetch" | "credentials" | "headers" | "keyFormat" | "keepalive"
>;

export type Send = (request: PreparedRequest, key: string, limit: SendLimit) => Promise<Answer>;

export interface SendLimit extends Limit {
  /** Called as the request is handed to `fetch`: from here on it may have arrived. Throws where it is too late. */
  readonly onSent: () => void;
  /** Whether the request may be finished after its page is gone. */
  readonly mayOutlive: boolean;
  /** Whether nothing may be started by it. */
  readonly isCheck: boolean;
}

// Of all requests of a page together; one more is refused (Fetch standard, "HTTP-network-or-cache fetch").
const KEEPALIVE_BYTES = 65_536;

/** Makes the function that sends. It throws whatever the network throws; a status is never an error here. */
export function createSend(options: SendOptions): Send {
  let keptBytes = 0;
  // Not every fetch heeds a signal, and a function that asks for headers has none: the wait for them ends all the same.
  return async (request, key, limit) => {
    const body = openBody(request);
    // Where no request can outlive its page, such as in React Native, there may be nothing to measure it with either.
    const { keepalive: isWanted = true } = options;
    const isAsked = isWanted && limit.mayOutlive && "keepalive" in Request.prototype;
    const sizeBytes = isAsked ? bytesOf(body) : 0;
    const keepalive = isAsked && keptBytes + sizeBytes <= KEEPALIVE_BYTES;
    const heldBytes = keepalive ? sizeBytes : 0;
    keptBytes += heldBytes;
    try {
      return await withinLimit(limit, async (signal) => {
        const headers = await mergeHeaders(options, request, key);
        if (limit.isCheck) headers.set(IDEMPOTENCY_ONLY_IF_STORED, "true");
        if (signal.aborted) throw reasonOf(signal);
        const whole = body === undefined ? {} : { body };
        return exchange(options, request, { headers, signal, keepalive, ...whole }, limit.onSent);
      });
    } finally {
      keptBytes -= heldBytes;
    }
  };
}

async function mergeHeaders(
  { headers, keyFormat }: SendOptions,
  request: PreparedRequest,
  key: string,
): Promise<Headers> {
  const merged = new Headers(request.headers);
  const live = typeof headers === "function" ? await headers() : headers;
  for (const [name, value] of new Headers(live)) merged.set(name, value);
  // Last, and set rather than added: a second value would make it another key.
  merged.set(IDEMPOTENCY_KEY, formatKey(key, keyFormat));
  return merged;
}

async function exchange(
  { fetch = globalThis.fetch, credentials }: SendOptions,
  { url, method }: PreparedRequest,
  of: Pick<RequestInit, "body" | "headers" | "signal" | "keepalive">,
  onSent: () => void,
): Promise<Answer> {
  // Made first: what cannot be a request, such as a URL with a password in it, was never sent.
  const request = new Request(url, { ...of, method, ...(credentials && { credentials }) });
  onSent();
  return readWhole(await fetch(request));
}

function bytesOf(body: ReturnType<typeof openBody>): number {
  return typeof body === "object" ? body.byteLength : new TextEncoder().encode(body).byteLength;
}

/** Reads a copy to its end, inside the attempt: an answer that is cut off is none. As text, since React Native reads no bytes. */
export async function readWhole(response: Response): Promise<Answer> {
  const text = await response.clone().text();
  const { status, headers, redirected: isRedirected } = response;
  return { status, headers, text, isRedirected, response };
}

/** The response to what was done with this status. */
export function responseOf(answer: Answer | undefined, status: number): Response {
  // The server kept the status but not the body; what it sent is a problem document about that.
  return answer?.status === status ? answer.response : new Response(null, { ...answer, status });
}

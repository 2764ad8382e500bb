/** One attempt: what is written down becomes a request that may leave once. */
import { formatKey, IDEMPOTENCY_KEY, IDEMPOTENCY_ONLY_IF_STORED } from "@oncekey/shared";
import type { Answer } from "./answer.ts";
import type { SerialBody } from "./body.ts";
import { reasonOf, withinLimit } from "./timeout.ts";
import type { Limit } from "./timeout.ts";
import type { ClientOptions } from "../options/client-options.ts";
import type { PreparedRequest } from "./request.ts";
import type { Outgoing } from "./transport.ts";

export type SendOptions = Pick<ClientOptions, "keyFormat" | "keepalive">;

export type Send = (request: PreparedRequest, key: string, limit: SendLimit) => Promise<Answer>;

export interface SendLimit extends Limit {
  /** Called as the request is handed to `fetch`: from here on it may have arrived. Throws if it is too late. */
  readonly onSent: () => void;
  /** Whether the request may be finished after its page is gone. */
  readonly mayOutlive: boolean;
  /** Whether the server may only look the operation up. */
  readonly isCheck: boolean;
  /** Whether the caller reads the body of the response. */
  readonly keepsBody: boolean | undefined;
}

// The browser's limit for all requests of a page together (Fetch standard, "HTTP-network-or-cache fetch").
const KEEPALIVE_BYTES = 65_536;

/** Makes the function that sends. It throws whatever the network throws; a status is never an error here. */
export function createSend(
  exchange: (outgoing: Outgoing) => Promise<Answer>,
  { keyFormat, keepalive: isWanted = true }: SendOptions,
): Send {
  let keptBytes = 0;
  return async (request, key, limit) => {
    const { url, method, body } = request;
    // React Native has no `keepalive`, and may have nothing to measure bytes with either.
    const isAsked = isWanted && limit.mayOutlive && "keepalive" in Request.prototype;
    const sizeBytes = isAsked ? bytesOf(body) : 0;
    const keepalive = isAsked && keptBytes + sizeBytes <= KEEPALIVE_BYTES;
    const heldBytes = keepalive ? sizeBytes : 0;
    keptBytes += heldBytes;
    const headers = new Headers(request.headers);
    headers.set(IDEMPOTENCY_KEY, formatKey(key, keyFormat));
    if (limit.isCheck) headers.set(IDEMPOTENCY_ONLY_IF_STORED, "true");
    try {
      // Not every fetch heeds a signal, and hooks have none: the attempt ends all the same.
      return await withinLimit(limit, (signal) => {
        const onSent = (): void => {
          if (signal.aborted) throw reasonOf(signal);
          limit.onSent();
        };
        const { keepsBody } = limit;
        return exchange({ url, method, headers, body, signal, keepalive, keepsBody, onSent });
      });
    } finally {
      keptBytes -= heldBytes;
    }
  };
}

function bytesOf(body: SerialBody["body"]): number {
  if (body === undefined) return 0;
  if (body instanceof Blob) return body.size;
  return typeof body === "object" ? body.byteLength : new TextEncoder().encode(body).byteLength;
}

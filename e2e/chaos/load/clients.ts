/** Clients that send a run's operations. */
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "@oncekey/client";
import { createIdempotentFetch } from "@oncekey/client/fetch";
import type { History } from "../history/history.ts";
import { OPERATION_HEADER, SCOPE_HEADER } from "../../shop/effects.ts";
import type { Order } from "../protocol/order.ts";
import type { Random } from "../protocol/random.ts";
import { fingerprintOf } from "./recorder.ts";

/** One request under one key. */
export interface Sending {
  readonly operation: string;
  readonly scope: string;
  /** Undefined: a route without keys. */
  readonly key: string | undefined;
  readonly path: string;
  /** With its question mark. */
  readonly search: string;
  readonly order: Order;
}

/** Sends until the answer is final or patience ends; never throws. */
export type Send = (sending: Sending) => Promise<void>;

/** Every client tries as often, as patiently and as long as the others. */
export const ATTEMPTS = 6;
export const ATTEMPT_MS = 3_000;
export const DEADLINE_MS = 20_000;
export const BASE_MS = 50;
export const CAP_MS = 500;
/** Never attached to anything: the rig rewrites the origin of each attempt. */
export const NOWHERE = "http://rig.invalid";

const RETRYING = {
  attempts: ATTEMPTS,
  attemptTimeoutMs: ATTEMPT_MS,
  deadlineMs: DEADLINE_MS,
  backoff: { baseMs: BASE_MS, capMs: CAP_MS },
  retryBudget: 1_000,
  onWarning: () => undefined,
};

/** Our client, an operation for each; what it concludes is put into the history as well. One at a time. */
export function createOncekeySend(recorded: typeof fetch, history: History): Send {
  // The rig draws the keys, so that others can send the same one; the client asks for one where it mints.
  let nextKey = "";
  const client = createClient({
    ...RETRYING,
    ky: { fetch: recorded, prefix: NOWHERE },
    key: () => nextKey,
  });
  const { run } = client.operation<Sending>("order", {
    request: (sending) => ({
      path: `${sending.path}${sending.search}`,
      json: sending.order,
      headers: headersOf(sending),
    }),
    instance: ({ scope, operation }) => `${scope} ${operation}`,
  });
  return async (sending) => {
    const { operation, scope, path, search, order } = sending;
    nextKey = sending.key ?? "";
    const { key, kind } = await run(sending);
    history.add({
      kind: "result",
      operation,
      scope,
      key,
      target: `POST ${path}`,
      fingerprint: fingerprintOf(search, new TextEncoder().encode(JSON.stringify(order))),
      outcome: kind,
    });
  };
}

/** Our drop-in `fetch`. */
export function createFetchSend(recorded: typeof fetch): Send {
  const idempotentFetch = createIdempotentFetch({ ...RETRYING, fetch: recorded });
  return async (sending) => {
    // It rejects where the outcome stays unknown or is another request's: the recorder has written down why.
    const url = `${NOWHERE}${sending.path}${sending.search}`;
    await idempotentFetch(url, toInit(sending)).catch(() => undefined);
  };
}

/** A client without Oncekey: the same key and bytes, again and again, on whatever goes wrong. */
export function createPlainSend(recorded: typeof fetch, random: Random): Send {
  return async (sending) => {
    // A request without a key cannot be repeated.
    const attempts = sending.key === undefined ? 1 : ATTEMPTS;
    for (let attempt = 1; attempt <= attempts; attempt += 1) {
      if (await sendOnce(recorded, sending)) return;
      await sleep(random.next() * Math.min(CAP_MS, BASE_MS * 2 ** attempt));
    }
  };
}

/** One attempt; whether its answer is final. */
export async function sendOnce(recorded: typeof fetch, sending: Sending): Promise<boolean> {
  try {
    const { status, headers } = await recorded(`${NOWHERE}${sending.path}${sending.search}`, {
      ...toInit(sending),
      signal: AbortSignal.timeout(ATTEMPT_MS),
    });
    return (
      headers.get("idempotent-replayed") === "true" ||
      (status < 500 && status !== 409 && status !== 429)
    );
  } catch {
    // The recorder has written down why.
    return false;
  }
}

interface Init {
  readonly method: "POST";
  readonly headers: Record<string, string>;
  readonly body: string;
}

export function toInit(sending: Sending): Init {
  const { key, order } = sending;
  return {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...headersOf(sending),
      ...(key === undefined ? {} : { "idempotency-key": key }),
    },
    body: JSON.stringify(order),
  };
}

function headersOf({ operation, scope }: Sending): Record<string, string> {
  return { [OPERATION_HEADER]: operation, [SCOPE_HEADER]: scope };
}

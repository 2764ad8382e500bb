/** What the plugin knows about one request on its way through the hooks. */
import type { FastifyRequest } from "fastify";
import type { PoolClient } from "pg";
import type { RouteOptions } from "../options/options.ts";
import { createStep } from "./steps.ts";
import type { Step } from "./steps.ts";
import { deriveKey } from "../ticket/derive-key.ts";
import type { Claim, Ticket } from "../store/store.ts";

/** `request.idempotency` on a protected route. */
export interface RequestIdempotency {
  /** The key, unquoted; `undefined` only where `required: false` let a request through without one. */
  readonly key: string | undefined;
  /** How many times the handler was started for this key, as far as the record tells. From 1. */
  readonly attempt: number;
  /**
   * A `pg` client inside the transaction that the stored response is committed with. Write through it, and end neither the
   * transaction nor the client: that happens when the reply is stored, and whatever is asked of it from then on throws. Reading it
   * under strategy `'lease'` throws.
   */
  readonly tx: PoolClient;
  /** Aborts when the claim is lost while the handler runs: the connection broke, or the lease was taken over. */
  readonly signal: AbortSignal;
  /**
   * Runs `fn` once for this key and remembers its JSON result (at most 64 KiB) on the record: a rerun gets the result instead.
   * Strategy `'lease'` only; in the others it throws.
   */
  readonly step: Step;
  /**
   * A key to pass on to somebody else's API: the same on every attempt of this key, another one for every name. UUIDv5.
   * Throws where the request has no key.
   */
  readonly deriveKey: (name: string) => string;
}

/** One request's state. Refusals and replays hold no claim, so nothing of theirs can be captured. */
export interface Exchange {
  readonly options: RouteOptions;
  readonly key: string | undefined;
  /** What was asked; `undefined` for a request without a key. */
  readonly fingerprint: Buffer | undefined;
  /** Taken out by whoever ends it: the reply's capture, or a release. */
  claim: Claim | undefined;
  /** The handler's view; still there while late code of the handler runs. */
  readonly view: RequestIdempotency | undefined;
  /** The stored bytes of a replay, put in place of what earlier `onSend` hooks made of them. */
  readonly replay: { readonly body: Buffer | undefined } | undefined;
  /** The handler failed: whatever is answered, its writes are not kept. */
  threw: boolean;
  /** `now` while the response is being stored. From then on nothing else may be sent. */
  sending: "not-yet" | "now" | "done";
  /** The status that is sent, once it is `done`. */
  status: number | undefined;
  /** What was sent failed behind our hook: then an error is sent in its place. */
  failed: boolean;
  /** While the payload is read and nothing of it is stored yet: a handler that fails now is answered by its error instead. */
  reading: Reading | undefined;
}

/** A reply whose payload is being read. */
export interface Reading {
  readonly claim: Claim;
  /** What was sent, or the stream that it is read as. */
  payload: unknown;
  /** Whether the handler had failed when it was sent. */
  readonly threw: boolean;
}

export const EXCHANGE: unique symbol = Symbol("oncekey.exchange");

declare module "fastify" {
  interface FastifyRequest {
    /** The request's key and transaction. Reading it where no claim is held throws an error that says why. */
    readonly idempotency: RequestIdempotency;
    [EXCHANGE]: Exchange | null;
  }
}

export function createExchange(
  options: RouteOptions,
  ticket: Ticket | undefined,
  more: Partial<Pick<Exchange, "claim" | "replay" | "view">>,
): Exchange {
  const { claim, view, replay } = more;
  const state = {
    threw: false,
    sending: "not-yet",
    status: undefined,
    failed: false,
    reading: undefined,
  } as const;
  const { key, fingerprint } = ticket ?? { key: undefined, fingerprint: undefined };
  return { options, key, fingerprint, claim, view, replay, ...state };
}

/** @param claim `undefined` where the handler runs unprotected. */
export function createView(
  claim: Claim | undefined,
  ticket: Ticket | undefined,
): RequestIdempotency {
  const step = createStep(claim?.steps);
  return Object.freeze({
    key: ticket?.key,
    attempt: claim?.attempt ?? 1,
    get tx() {
      if (claim === undefined)
        throw new Error(
          "there is no transaction: the store is unavailable and onUnavailable is 'run'",
        );
      if (claim.tx !== undefined) return claim.tx;
      throw new Error(
        "strategy 'lease' holds no transaction: use a pool of your own, and step() for what must not be repeated",
      );
    },
    get signal() {
      return claim?.signal ?? NEVER;
    },
    step,
    deriveKey(name: string) {
      if (ticket === undefined) throw new Error("deriveKey needs a request with a key");
      return deriveKey(ticket, name);
    },
  });
}

const NEVER = new AbortController().signal;

/** The getter behind `request.idempotency`. */
export function readIdempotency(request: FastifyRequest): RequestIdempotency {
  const view = request[EXCHANGE]?.view;
  if (view === undefined) {
    throw new Error(
      "request.idempotency is there only in the handler of a route with config: { idempotency: true }",
    );
  }
  return view;
}

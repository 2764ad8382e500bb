/** What the plugin knows about one request on its way through the hooks. */
import type { FastifyRequest } from "fastify";
import type { PoolClient } from "pg";
import type { RouteOptions } from "./options.ts";
import type { Claim } from "./store/store.ts";

/** `request.idempotency` on a protected route. */
export interface RequestIdempotency {
  /** The key, unquoted; `undefined` only where `required: false` let a request through without one. */
  readonly key: string | undefined;
  /**
   * A `pg` client inside the transaction that the stored response is committed with. Write through it, and end neither the
   * transaction nor the client: that happens when the reply is stored.
   */
  readonly tx: PoolClient;
}

/** One request's state. Refusals and replays hold no claim, so nothing of theirs can be captured. */
export interface Exchange {
  readonly options: RouteOptions;
  readonly key: string | undefined;
  /** Taken out by whoever ends it: the reply's capture, or a release. */
  claim: Claim | undefined;
  /** The handler's view; still there while late code of the handler runs. */
  readonly view: RequestIdempotency | undefined;
  /** The stored bytes of a replay, put in place of what earlier `onSend` hooks made of them. */
  readonly replay: { readonly body: Buffer | undefined } | undefined;
  /** The handler failed: whatever is answered, its writes are not kept. */
  threw: boolean;
  /** `now` while the response is being stored: nothing else may be sent in that time. */
  sending: "not-yet" | "now" | "done";
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
  parts: Pick<Exchange, "options" | "key"> & Partial<Pick<Exchange, "claim" | "replay">>,
): Exchange {
  const { options, key, claim, replay } = parts;
  const view = claim && Object.freeze({ key, tx: claim.tx });
  return { options, key, claim, view, replay, threw: false, sending: "not-yet" };
}

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

/** What the plugin knows about one protected request, from admission to its end. */
import type { Pool } from "pg";
import type { RouteOptions } from "../options/options.ts";
import type { Claim, Ticket } from "../store/store.ts";
import type { BeginOutcomeName } from "../telemetry/events.ts";
import type { HandlerScope } from "./handler-scope.ts";
import { HandlerApi } from "./handler-api.ts";

/** One request's state. Refusals and replays hold no claim, so the plugin captures nothing of their replies. */
export class RequestState {
  readonly options: RouteOptions;
  /** `undefined` for a request without a usable key. */
  ticket: Ticket | undefined;
  outcome: BeginOutcomeName = "refused";
  /** The pool that was asked for the claim. */
  pool: Pool | undefined;
  /** The claim that still has to be ended: by storing the reply, or by a release. */
  claim: Claim | undefined;
  /** The same claim for the application, also after its end. */
  held: Claim | undefined;
  /** The stored bytes of a replay, which replace what earlier `onSend` hooks made of them. */
  replay: { readonly body: Buffer | undefined } | undefined;
  /** The async context of the handler, if it has a transaction. */
  scope: HandlerScope | undefined;
  isTxUsed = false;
  /** Whether the handler asked for its writes to be rolled back, and whether its reply is stored or its key freed. */
  rollback: "store" | "free" | undefined;
  /** The time of the handler; `undefined` without a claim. */
  deadline: HandlerDeadline | undefined;
  /** Whether that time is up: then nothing that the handler still sends is the reply. */
  isExpired = false;
  /** Sends the reply of an expired handler past `ignoreLateReplies`. */
  answerExpired: ((payload: Buffer) => void) | undefined;
  /** Whether the handler failed: its writes are not kept, whatever the reply says. */
  threw = false;
  /** The status of what it threw. */
  thrownStatus = 500;
  /** `now` while the response is being stored. From then on nothing else may be sent. */
  sending: "not-yet" | "now" | "done" = "not-yet";
  /** The status that is sent, once `sending` is `done`. */
  status: number | undefined;
  /** Whether a hook behind ours failed on the stored reply: then its error is sent instead. */
  failed = false;
  /** Set while the payload is read and nothing is stored yet: an error of the handler still replaces the reply. */
  reading: Reading | undefined;
  #api: HandlerApi | undefined;

  constructor(options: RouteOptions) {
    this.options = options;
  }

  rollBack(how: "store" | "free"): void {
    if (this.claim === undefined && this.reading === undefined && this.held !== undefined)
      throw new Error("rollback() came too late: the reply is stored already");
    this.rollback = how;
  }

  /** `request.idempotency`. */
  get api(): HandlerApi {
    this.#api ??= new HandlerApi(this);
    return this.#api;
  }
}

/** The time of one handler. */
export interface HandlerDeadline {
  /** Resolves when the time is up while the reply is read: the claim is given back then. */
  readonly expired: Promise<"expired">;
  /** Starts the timer if it has to run from now on. */
  readonly check: () => void;
  readonly stop: () => void;
}

/** A reply whose payload is being read. */
export interface Reading {
  readonly claim: Claim;
  /** The payload as sent, or the stream that it is read from. */
  payload: unknown;
  /** Whether the handler had failed before it sent. */
  readonly threw: boolean;
}

export const STATE: unique symbol = Symbol("oncekey.state");

declare module "fastify" {
  interface FastifyRequest {
    [STATE]: RequestState | null;
  }
}

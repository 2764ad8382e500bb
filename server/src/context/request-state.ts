/** State of one protected request, from admission to its end. */
import type { Pool } from "pg";
import type { RouteOptions } from "../options/options.ts";
import { ReplyState } from "./reply-state.ts";
import type { Claim, Ticket } from "../store/store.ts";
import type { BeginOutcomeName } from "../telemetry/events.ts";
import type { HandlerScope } from "./handler-scope.ts";
import { HandlerApi } from "./handler-api.ts";

/** One request's state. Refusals and replays hold no claim, so the plugin captures nothing of their replies. */
export class RequestState {
  readonly options: RouteOptions;
  /** `undefined` for a request without a usable key. */
  ticket: Ticket | undefined;
  /** The caller's scope, of a request without a key. */
  keylessScope: string | undefined;
  outcome: BeginOutcomeName = "refused";
  /** The pool that was asked for the claim. */
  pool: Pool | undefined;
  /** Decides which reply may still be sent. */
  readonly reply: ReplyState = new ReplyState();
  /** The claim for the application, also after its end. */
  held: Claim | undefined;
  /** The stored bytes of a replay, which replace what earlier `onSend` hooks made of them. */
  replay: { readonly body: Buffer | undefined } | undefined;
  /** The async context of the handler, if it has a transaction. */
  scope: HandlerScope | undefined;
  isTxUsed = false;
  /** Whether the handler asked for its writes to be rolled back, and whether its reply is stored or its key freed. */
  rollback: "store" | "free" | undefined;
  /** Sends the reply of an expired handler past `ignoreLateReplies`. */
  answerExpired: ((payload: Buffer) => void) | undefined;
  #api: HandlerApi | undefined;

  constructor(options: RouteOptions) {
    this.options = options;
  }

  rollBack(how: "store" | "free"): void {
    if (this.held !== undefined && !this.reply.isUndecided)
      throw new Error("rollback() came too late: the reply is stored already");
    this.rollback = how;
  }

  /** `request.idempotency`. */
  get api(): HandlerApi {
    this.#api ??= new HandlerApi(this);
    return this.#api;
  }
}

export const STATE: unique symbol = Symbol("oncekey.state");

declare module "fastify" {
  interface FastifyRequest {
    [STATE]: RequestState | null;
  }
}

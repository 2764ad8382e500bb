/** The last step before the handler: the one switch over what may happen to a request. */
import { PROBLEM_CONTENT_TYPE } from "@oncekey/shared";
import type { FastifyReply, FastifyRequest } from "fastify";
import { begin, runsUnprotected, tellRefused } from "./claim-ticket.ts";
import type { Asking, Begun } from "./claim-ticket.ts";
import { resolveCrash } from "./resolve-crash.ts";
import type { Engine } from "../backend/backend.ts";
import { createExchange, createView, EXCHANGE } from "../context/request-state.ts";
import type { Exchange } from "../context/request-state.ts";
import { refuseLateSends, releaseClaim } from "./wrap-handler.ts";
import { takeIn } from "./read-ticket.ts";
import type { RouteOptions } from "../options/options.ts";
import {
  acknowledge,
  conflict,
  markRefusal,
  refusalOf,
  writeProblem,
  writeReplay,
} from "../response/replay.ts";
import type { Refusal } from "../response/replay.ts";
import { logFailure } from "../response/on-send.ts";
import { remainingMs } from "../store/record.ts";
import type { Claim, StoredRecord } from "../store/store.ts";

/** What the steps of one request have in common. */
interface Admission extends Asking {
  readonly reply: FastifyReply;
}

/** Whether the handler is to run, or the request is answered already. A value, because a reply would be awaited for it. */
export type Admitted = "run" | "answered";

/** Lets the handler run, or answers itself. */
export async function admit(
  engine: Engine,
  options: RouteOptions,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<Admitted> {
  const intake = takeIn(request, options);
  const ticket = intake.kind === "ticket" ? intake.ticket : undefined;
  const mayRun = intake.kind !== "ticket" || !intake.onlyIfStored;
  const admission = { options, engine, request, reply, ticket, mayRun };
  acknowledge(reply, ticket?.key, options.retentionMs);
  switch (intake.kind) {
    case "refused":
      tellRefused(admission);
      return refuse(admission, intake);
    case "no-scope":
      tellRefused(admission);
      request.log.error("the idempotency option scope returned no usable scope for this request");
      return refuseScope(reply);
    case "keyless":
    case "ticket":
      return follow(admission, await begin(admission));
    default:
      return intake satisfies never;
  }
}

async function follow(admission: Admission, outcome: Begun): Promise<Admitted> {
  const { options, request, ticket } = admission;
  switch (outcome.kind) {
    case "claimed":
      return hold(admission, outcome.claim);
    case "crashed":
      // Only a ticket can have been begun before.
      if (ticket === undefined) return hold(admission, outcome.claim);
      return follow(admission, await resolveCrash(outcome.claim, ticket, options, request));
    case "replay":
      return replay(admission, outcome.record);
    case "in-flight":
      return refuse(admission, {
        code: "idempotency_in_flight",
        detail: "The first request with this key still runs",
      });
    case "absent":
      return refuse(admission, {
        code: "idempotency_not_found",
        detail: "Nothing is stored for this key, and nothing was started",
      });
    case "unknown":
      return refuse(admission, {
        code: "idempotency_outcome_unknown",
        detail:
          "The handler of this request failed or did not finish, and what it did is not known",
      });
    case "conflict":
      return refuse(admission, conflict());
    case "expired":
      return refuse(admission, {
        code: "idempotency_key_expired",
        detail: "This key is older than this server takes, and nothing is stored for it",
      });
    case "unavailable":
      logFailure(request, { key: ticket?.key, cause: outcome.cause }, outcome.detail);
      if (runsUnprotected(admission, outcome)) return runUnprotected(admission);
      return refuse(admission, { code: "idempotency_unavailable", detail: outcome.detail });
    default:
      return outcome satisfies never;
  }
}

function hold({ options, request, reply, ticket }: Admission, claim: Claim): Admitted {
  const exchange = createExchange(options, ticket, { claim, view: createView(claim, ticket) });
  request[EXCHANGE] = exchange;
  refuseTrailers(exchange, reply);
  refuseLateSends(exchange, request, reply);
  // A hijacked reply, or one ended by hand, has no `onSend`. A caller that hangs up also closes, but then nothing is sent yet:
  // the handler goes on and its response is stored.
  reply.raw.once("close", () => {
    if (reply.sent) void releaseClaim(exchange);
  });
  return "run";
}

// What hooks add, before or after, is made anew for each reply; what the handler adds would be missing from a replay.
function refuseTrailers(exchange: Exchange, reply: FastifyReply): void {
  const add = reply.trailer;
  reply.trailer = (name, make) => {
    if (exchange.sending === "not-yet") {
      throw new TypeError(`trailer ${name} is refused: a protected route cannot store trailers`);
    }
    return add.call(reply, name, make);
  };
}

function runUnprotected({ options, request, ticket }: Admission): Admitted {
  request[EXCHANGE] = createExchange(options, ticket, { view: createView(undefined, ticket) });
  return "run";
}

function replay(admission: Admission, record: StoredRecord): Admitted {
  const { options, request, reply, ticket } = admission;
  const isMismatch = ticket !== undefined && !record.fingerprint.equals(ticket.fingerprint);
  const refusal = refusalOf(record, isMismatch, options);
  if (refusal !== undefined) {
    markRefusal(reply, isMismatch, options);
    return refuse(admission, refusal);
  }
  acknowledge(reply, ticket?.key, remainingMs(record));
  const body = writeReplay(reply, record.response, isMismatch);
  request[EXCHANGE] = createExchange(options, ticket, { replay: { body } });
  reply.send(body);
  return "answered";
}

function refuse({ reply, options }: Admission, refusal: Refusal): Admitted {
  reply.send(writeProblem(reply, refusal, options));
  return "answered";
}

// No code of the contract fits: it is the application's mistake, and no caller can mend it.
function refuseScope(reply: FastifyReply): Admitted {
  const detail = "The server found no idempotency scope for this request";
  reply.code(500).type(PROBLEM_CONTENT_TYPE).header("cache-control", "no-store");
  const problem = { type: "about:blank", title: "Internal Server Error", status: 500, detail };
  reply.send(Buffer.from(JSON.stringify(problem)));
  return "answered";
}

/** Admission, the last step before the handler: a request runs, gets a replay, or is refused. */
import type { FastifyReply, FastifyRequest } from "fastify";
import type { PoolClient } from "pg";
import { claimTicket, publishRefusal } from "./claim-ticket.ts";
import type { ClaimRequest } from "./claim-ticket.ts";
import { resolveCrash } from "./resolve-crash.ts";
import type { ClaimOutcome, Engine } from "../backend/backend.ts";
import { HandlerScope } from "../context/handler-scope.ts";
import { reportOutsideUse, watchPool } from "../context/outside-writes.ts";
import { isTransactional } from "../context/transactional.ts";
import type { RequestState } from "../context/request-state.ts";
import { startDeadline } from "./handler-deadline.ts";
import { chain } from "../async/maybe-promise.ts";
import type { MaybePromise } from "../async/maybe-promise.ts";
import { readTicket } from "./read-ticket.ts";
import type { TicketReading } from "./read-ticket.ts";
import {
  acknowledge,
  conflict,
  markRefusal,
  refusalOf,
  setLifetime,
  writeProblem,
  writeReplay,
  writeServerError,
} from "../response/replay.ts";
import type { Refusal } from "../response/replay.ts";
import { logFailure } from "../response/on-send.ts";
import { remainingFenceMs } from "../store/record.ts";
import type { Claim, StoredRecord } from "../store/store.ts";

/** Shared state of the steps of one admission. */
interface Admission extends ClaimRequest {
  readonly reply: FastifyReply;
}

/** Whether the handler is to run, or the request is answered already. A value, because a reply would be awaited for it. */
export type Admitted = "run" | "answered";

/** Lets the handler run, or answers itself. */
export function admit(
  engine: Engine,
  state: RequestState,
  request: FastifyRequest,
  reply: FastifyReply,
): MaybePromise<Admitted> {
  return chain(readTicket(request, state.options), (read) =>
    admitRead(read, { engine, request, reply, state }),
  );
}

function admitRead(
  read: TicketReading,
  { engine, request, reply, state }: Omit<Admission, "mayRun">,
): MaybePromise<Admitted> {
  const { options } = state;
  if (read.kind === "ticket") state.ticket = read.ticket;
  if (read.kind === "keyless") state.keylessScope = read.scope;
  const mayRun = read.kind !== "ticket" || !read.onlyIfStored;
  const admission = { engine, request, reply, state, mayRun };
  acknowledge(reply, state.ticket?.key, options.fenceMs);
  switch (read.kind) {
    case "refused":
      publishRefusal(admission);
      return refuse(admission, read);
    case "no-scope":
      publishRefusal(admission);
      if (read.cause === undefined)
        request.log.error("the idempotency option scope returned no usable scope for this request");
      else request.log.error({ err: read.cause }, "the idempotency option scope threw or rejected");
      return refuseScope(admission);
    case "keyless":
    case "ticket":
      return chain(claimTicket(admission), (outcome) => follow(admission, outcome));
    default:
      return read satisfies never;
  }
}

function follow(admission: Admission, outcome: ClaimOutcome): MaybePromise<Admitted> {
  const { request, state } = admission;
  const { ticket } = state;
  switch (outcome.kind) {
    case "claimed":
      return hold(admission, outcome.claim);
    case "crashed":
      // Only a ticket can have been begun before.
      if (ticket === undefined) return hold(admission, outcome.claim);
      return resolveCrash(outcome.claim, ticket, state.options, request).then((decided) =>
        follow(admission, decided),
      );
    case "replay":
      return replay(admission, outcome.record);
    case "in-flight":
      return refuse(admission, {
        code: "idempotency_in_flight",
        detail: outcome.hasFailed
          ? "The first request with this key failed while this one waited for it"
          : "The first request with this key still runs",
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
        detail:
          "This key is older than this server takes, or from the future, and nothing is stored for it",
      });
    case "busy":
      return refuse(admission, {
        code: "idempotency_unavailable",
        detail: "Other requests of the same scope hold its share of the database connections",
      });
    case "unavailable":
      logFailure(request, { key: ticket?.key, cause: outcome.cause }, outcome.detail);
      return refuse(admission, { code: "idempotency_unavailable", detail: outcome.detail });
    default:
      return outcome satisfies never;
  }
}

function hold({ request, reply, state }: Admission, claim: Claim): Admitted {
  state.held = claim;
  refuseTrailers(state, reply);
  state.scope = createScope(request, state, claim.tx);
  const deadline = startDeadline(state, request, reply);
  state.reply.hold(claim, deadline);
  // A hijacked reply, or one ended by hand, has no `onSend`. A caller that hangs up also closes, but then nothing is sent yet:
  // the handler goes on and its response is stored.
  reply.raw.once("close", () => {
    if (reply.sent) void state.reply.release();
    else deadline.check();
  });
  return "run";
}

/** `undefined` if the handler has no transaction, or nothing asks which one it has. */
function createScope(
  request: FastifyRequest,
  state: RequestState,
  tx: PoolClient | undefined,
): HandlerScope | undefined {
  const { options, pool } = state;
  if (tx === undefined || pool === undefined) return undefined;
  if (options.outsideWrites === "allow" && !isTransactional(pool)) return undefined;
  watchPool(pool);
  const takeTx = (): PoolClient => {
    state.isTxUsed = true;
    return tx;
  };
  return new HandlerScope(pool, takeTx, () => reportOutsideUse(options, request.log));
}

// Refuses trailers of the handler: they would be missing from a replay. Hooks add theirs anew for
// each reply.
function refuseTrailers(state: RequestState, reply: FastifyReply): void {
  const add = reply.trailer;
  reply.trailer = (name, make) => {
    if (state.reply.isOpen) {
      throw new TypeError(`trailer ${name} is refused: a protected route cannot store trailers`);
    }
    return add.call(reply, name, make);
  };
}

function replay(admission: Admission, record: StoredRecord): Admitted {
  const { reply, state } = admission;
  const { options, ticket } = state;
  const isMismatch = ticket !== undefined && !record.fingerprint.equals(ticket.fingerprint);
  if (ticket !== undefined) setLifetime(reply, remainingFenceMs(record));
  const refusal = refusalOf(record, isMismatch, options);
  if (refusal !== undefined) {
    markRefusal(reply, isMismatch, options);
    return refuse(admission, refusal);
  }
  const body = writeReplay(reply, record.response, isMismatch);
  state.replay = { body };
  reply.send(body);
  return "answered";
}

function refuse({ reply, state }: Admission, refusal: Refusal): Admitted {
  reply.send(writeProblem(reply, refusal, state.options));
  return "answered";
}

// Not one of the contract's codes: it is the application's mistake, and no caller can mend it.
function refuseScope({ reply, state }: Admission): Admitted {
  const problem = {
    code: "idempotency_scope_missing",
    title: "The server found no scope for the key",
    detail: "The idempotency option scope returned no usable scope for this request",
  };
  reply.send(writeServerError(reply, problem, state.options));
  return "answered";
}

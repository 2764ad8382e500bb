/** The hooks of a protected route, and the one switch over what may happen to a request. */
import { PROBLEM_CONTENT_TYPE } from "@oncekey/shared";
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from "fastify";
import fp from "fastify-plugin";
import { createExchange, EXCHANGE, readIdempotency } from "./exchange.ts";
import type { Exchange } from "./exchange.ts";
import { releaseClaim } from "./guard.ts";
import { takeIn } from "./intake.ts";
import { checkOptions, resolveRouteOptions } from "./options.ts";
import type { IdempotencyOptions, RouteOptions } from "./options.ts";
import { arm, nameOf, ownOptions, refuseUnarmed } from "./protect.ts";
import { acknowledge, conflict, refusalOf, writeProblem, writeReplay } from "./replay.ts";
import type { Refusal } from "./replay.ts";
import { logFailure, settle } from "./settle.ts";
import { createSingleFlight } from "./single-flight.ts";
import type { Outcome } from "./single-flight.ts";
import { createAdvisoryStore } from "./store/advisory.ts";
import { createStoreParts } from "./store/store-parts.ts";
import type { Claim, StoredRecord, Ticket } from "./store/store.ts";

/** How a request gets its outcome. */
interface Begin {
  readonly options: RouteOptions;
  readonly begin: (ticket: Ticket, onlyIfStored: boolean) => Promise<Outcome>;
  readonly open: () => Promise<Outcome>;
}

const plugin: FastifyPluginAsync<IdempotencyOptions> = async (app, registered) => {
  checkOptions(registered);
  const store = createAdvisoryStore(
    createStoreParts(registered.pool, registered.schema ?? "oncekey"),
  );
  const flights = createSingleFlight(store);

  app.decorateRequest(EXCHANGE, null);
  app.decorateRequest("idempotency", {
    getter(this: FastifyRequest) {
      return readIdempotency(this);
    },
  });
  app.addHook("onRoute", (route) => {
    const own = ownOptions(route);
    if (own === undefined) return;
    const options = resolveRouteOptions(registered, own, nameOf(route));
    const begin: Begin = {
      options,
      begin: (ticket, onlyIfStored) =>
        onlyIfStored ? flights.lookup(ticket, options) : flights.begin(ticket, options),
      open: () => store.open(),
    };
    arm(route, async (request, reply) => admit(begin, request, reply));
  });
  // On the instance, so that it runs before every `onSend` of a route: a compressor there sees a stored response, never the other way.
  app.addHook("onSend", onSend);
  app.addHook("onRequest", refuseUnarmed);
  surviveIdleErrors(app, registered.pool);
};

/**
 * The Fastify plugin. Routes ask for it with `config: { idempotency: true }`; their handler writes through
 * `request.idempotency.tx`, and those writes and the stored response commit together, before the reply leaves.
 *
 * @throws at registration, TypeError or RangeError that names the option, what it got and what is allowed.
 */
export const idempotency: FastifyPluginAsync<IdempotencyOptions> = fp(plugin, {
  name: "@oncekey/server",
  fastify: "5.x",
});

/** The last hook before the handler. Returns to run the handler, or answers itself. */
async function admit(
  { options, begin, open }: Begin,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const intake = takeIn(request, options);
  acknowledge(reply, intake.kind === "ticket" ? intake.ticket.key : undefined, options.retentionMs);
  switch (intake.kind) {
    case "refused":
      return refuse(reply, intake, options);
    case "no-scope":
      request.log.error("the idempotency option scope returned no usable scope for this request");
      return refuseScope(reply);
    case "keyless":
      return follow(await open(), undefined, options, request, reply);
    case "ticket":
      return follow(
        await begin(intake.ticket, intake.onlyIfStored),
        intake.ticket,
        options,
        request,
        reply,
      );
    default:
      return intake satisfies never;
  }
}

async function follow(
  outcome: Outcome,
  ticket: Ticket | undefined,
  options: RouteOptions,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  switch (outcome.kind) {
    case "claimed":
      hold(outcome.claim, ticket?.key, options, request, reply);
      return undefined;
    case "replay":
      return replay(outcome.record, ticket, options, request, reply);
    case "in-flight":
      return refuse(
        reply,
        { code: "idempotency_in_flight", detail: "The first request with this key still runs" },
        options,
      );
    case "absent":
      return refuse(
        reply,
        {
          code: "idempotency_not_found",
          detail: "Nothing is stored for this key, and nothing was started",
        },
        options,
      );
    case "conflict":
      return refuse(reply, conflict(), options);
    case "unavailable":
      logFailure(request, outcome.cause, outcome.detail);
      return refuse(reply, { code: "idempotency_unavailable", detail: outcome.detail }, options);
    default:
      return outcome satisfies never;
  }
}

function hold(
  claim: Claim,
  key: string | undefined,
  options: RouteOptions,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const exchange = createExchange({ options, key, claim });
  request[EXCHANGE] = exchange;
  // A hijacked reply, or one ended by hand, has no `onSend`. A caller that hangs up also closes, but then nothing is sent yet:
  // the handler goes on and its response is stored.
  reply.raw.once("close", () => {
    if (reply.sent) void releaseClaim(exchange);
  });
}

function replay(
  record: StoredRecord,
  ticket: Ticket | undefined,
  options: RouteOptions,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const isMismatch = ticket !== undefined && !record.fingerprint.equals(ticket.fingerprint);
  const refusal = refusalOf(record, isMismatch, options);
  if (refusal !== undefined) return refuse(reply, refusal, options);
  acknowledge(reply, ticket?.key, record.lifetimeMs);
  const body = writeReplay(reply, record.response, isMismatch);
  request[EXCHANGE] = createExchange({ options, key: ticket?.key, replay: { body } });
  return reply.send(body);
}

function refuse(reply: FastifyReply, refusal: Refusal, options: RouteOptions): FastifyReply {
  return reply.send(writeProblem(reply, refusal, options));
}

// No code of the contract fits: it is the application's mistake, and no caller can mend it.
function refuseScope(reply: FastifyReply): FastifyReply {
  const detail = "The server found no idempotency scope for this request";
  reply.code(500).type(PROBLEM_CONTENT_TYPE).header("cache-control", "no-store");
  const problem = { type: "about:blank", title: "Internal Server Error", status: 500, detail };
  return reply.send(Buffer.from(JSON.stringify(problem)));
}

function onSend(
  request: FastifyRequest,
  reply: FastifyReply,
  payload: unknown,
  done: (error: null, payload: unknown) => void,
): Promise<unknown> | undefined {
  const exchange = request[EXCHANGE];
  // A second send while the first is being stored, such as the empty one that Fastify adds where a handler sent without
  // returning the reply: the first one answers, and this one must not get past it.
  if (exchange?.sending === "now") return undefined;
  if (exchange?.sending === "not-yet") {
    const { claim, replay: stored } = exchange;
    if (claim !== undefined) return finish(claim, exchange, request, reply, payload);
    exchange.sending = "done";
    // In place of what earlier hooks made of it. Null, because Fastify reads undefined as "leave the payload as it is".
    if (stored !== undefined) payload = stored.body ?? null;
  }
  done(null, payload);
  return undefined;
}

async function finish(
  claim: Claim,
  exchange: Exchange,
  request: FastifyRequest,
  reply: FastifyReply,
  payload: unknown,
): Promise<unknown> {
  exchange.claim = undefined;
  exchange.sending = "now";
  try {
    return await settle(claim, exchange, request, reply, payload);
  } finally {
    exchange.sending = "done";
  }
}

// An idle connection that dies makes the pool emit `error`, which ends a process in which nobody listens. The pool drops the
// connection by itself, so there is nothing to do but to be there.
function surviveIdleErrors(app: FastifyInstance, pool: IdempotencyOptions["pool"]): void {
  const onError = (error: Error): void =>
    app.log.warn({ reason: error.message }, "an idle database connection was lost");
  pool.on("error", onError);
  app.addHook("onClose", async () => {
    pool.removeListener("error", onError);
  });
}

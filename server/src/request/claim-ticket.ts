/** Claims a request's ticket in the store, and publishes the outcome. */
import type { FastifyRequest } from "fastify";
import type { ClaimOutcome, Engine } from "../backend/backend.ts";
import { chain } from "../async/maybe-promise.ts";
import type { MaybePromise } from "../async/maybe-promise.ts";
import { isOutOfTime } from "../ticket/key-age.ts";
import type { RequestState } from "../context/request-state.ts";
import { hasSubscribers, publish } from "../telemetry/events.ts";
import { digestKey } from "../telemetry/key-digest.ts";
import type {
  BeginEvent,
  BeginOutcomeName,
  CompleteEvent,
  RouteLabels,
} from "../telemetry/events.ts";
import type { Claim, ClaimEnd } from "../store/store.ts";

/** A request that asks for its outcome. */
export interface ClaimRequest {
  readonly engine: Engine;
  readonly request: FastifyRequest;
  readonly state: RequestState;
  /** Whether the handler may run: `false` if the caller asked only for what is stored. */
  readonly mayRun: boolean;
}

/** Claims the ticket, or finds what stands in its way. Writes the outcome's name into the state. */
export function claimTicket(asked: ClaimRequest): MaybePromise<ClaimOutcome> {
  const startedAt = performance.now();
  let heldAt: number | undefined;
  const asking = ask(asked, () => {
    heldAt ??= performance.now();
  });
  return chain(asking, (outcome) => {
    const { state } = asked;
    state.outcome = outcomeName(state, outcome);
    publishBegin(asked, () => {
      const endedAt = performance.now();
      return {
        beginMs: (heldAt ?? endedAt) - startedAt,
        waitMs: endedAt - (heldAt ?? endedAt),
      };
    });
    const isClaim = outcome.kind === "claimed" || outcome.kind === "crashed";
    if (isClaim && hasSubscribers("oncekey:complete")) publishEnd(asked, outcome.claim);
    return outcome;
  });
}

/** Publishes that the request was refused before the engine was asked. */
export function publishRefusal(asked: ClaimRequest): void {
  publishBegin(asked, () => ({ beginMs: 0, waitMs: 0 }));
}

function ask(
  { engine, request, state, mayRun }: ClaimRequest,
  onWait: () => void,
): MaybePromise<ClaimOutcome> {
  const { options, ticket } = state;
  const isOld = ticket !== undefined && isOutOfTime(ticket.key, options.maxKeyAgeMs);
  const pool = engine.poolOf(request);
  state.pool = pool;
  if (ticket === undefined) return engine.open(pool, state.keylessScope);
  if (!mayRun) return engine.lookup(ticket, pool);
  return isOld ? engine.askStored(ticket, pool) : engine.begin(ticket, pool, onWait);
}

function publishBegin(
  asked: ClaimRequest,
  measured: () => Pick<BeginEvent, "beginMs" | "waitMs">,
): void {
  const { outcome, ticket } = asked.state;
  publish("oncekey:begin", () => ({
    ...labelsOf(asked),
    keyDigest: digestKey(ticket?.key),
    outcome,
    ...measured(),
  }));
}

/** Publishes how the claim ends. */
function publishEnd(asked: ClaimRequest, claim: Claim): void {
  const key = asked.state.ticket?.key;
  claim.onEnd((end) =>
    publish("oncekey:complete", () => ({
      ...labelsOf(asked),
      keyDigest: digestKey(key),
      outcome: endName(end, key),
      completeMs: performance.now() - end.startedAt,
    })),
  );
}

function endName(end: ClaimEnd, key: string | undefined): CompleteEvent["outcome"] {
  if (end.kind !== "completed")
    return end.kind === "released" && end.how !== "failed" ? "released" : "failed";
  const { kind } = end.completion;
  return kind === "stored" && key === undefined ? "committed" : kind;
}

function labelsOf({ state, request }: ClaimRequest): RouteLabels {
  const { strategy } = state.options;
  return { strategy, method: request.method, route: request.routeOptions.url ?? "" };
}

function outcomeName({ options, ticket }: RequestState, outcome: ClaimOutcome): BeginOutcomeName {
  if (ticket === undefined) return outcome.kind === "claimed" ? "keyless" : outcome.kind;
  if (outcome.kind !== "replay" || outcome.record.fingerprint.equals(ticket.fingerprint))
    return outcome.kind;
  return options.mismatch === "reject" ? "conflict" : "mismatch";
}

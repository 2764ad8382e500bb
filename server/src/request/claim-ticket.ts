/** What may happen to a request: asked of the engine, measured, and told to those who listen. */
import type { FastifyRequest } from "fastify";
import type { Engine } from "../backend/backend.ts";
import { isTooOld } from "../ticket/key-age.ts";
import { observedClaim } from "../layers/observed-claim.ts";
import type { RouteOptions } from "../options/options.ts";
import type { Outcome } from "../layers/single-flight.ts";
import type { Ticket, Unavailable } from "../store/store.ts";
import { digestKey, publish } from "../telemetry/events.ts";
import type { BeginEvent, BeginOutcomeName, RouteLabels } from "../telemetry/events.ts";

/** `expired`: the key is too old to be run, and nothing is stored for it. */
export type Begun = Outcome | { readonly kind: "expired" };

/** A request that asks for its outcome. */
export interface Asking {
  readonly options: RouteOptions;
  readonly engine: Engine;
  readonly request: FastifyRequest;
  /** `undefined` for a request without a key. */
  readonly ticket: Ticket | undefined;
  /** Whether the handler may run at all: not where only what is stored was asked for. */
  readonly mayRun: boolean;
}

/** Claims the ticket, or finds what stands in its way. */
export async function begin(asking: Asking): Promise<Begun> {
  const startedAt = performance.now();
  let heldAt: number | undefined;
  const outcome = await ask(asking, () => {
    heldAt ??= performance.now();
  });
  const endedAt = performance.now();
  tell(asking, () => ({
    outcome: outcomeName(asking, outcome),
    beginMs: (heldAt ?? endedAt) - startedAt,
    waitMs: endedAt - (heldAt ?? endedAt),
  }));
  if (outcome.kind !== "claimed" && outcome.kind !== "crashed") return outcome;
  const claim = observedClaim(outcome.claim, labelsOf(asking), asking.ticket?.key);
  return { kind: outcome.kind, claim };
}

/** For a request that was refused before anything was asked. */
export function tellRefused(asking: Asking): void {
  tell(asking, () => ({ outcome: "refused", beginMs: 0, waitMs: 0 }));
}

/** Whether the handler runs where the store is down. */
export function runsUnprotected({ options, mayRun }: Asking, { isDone }: Unavailable): boolean {
  return options.onUnavailable === "run" && mayRun && isDone !== true;
}

async function ask(
  { engine, options, request, ticket, mayRun }: Asking,
  onHeld: () => void,
): Promise<Begun> {
  if (ticket === undefined) return engine.open(request);
  if (!mayRun) return engine.lookup(ticket, request);
  if (!isTooOld(ticket.key, options.maxKeyAgeMs)) return engine.begin(ticket, request, onHeld);
  // Too old to be run, and still welcome to what is stored.
  const outcome = await engine.lookup(ticket, request);
  return outcome.kind === "absent" ? { kind: "expired" } : outcome;
}

function tell(
  asking: Asking,
  measured: () => Pick<BeginEvent, "outcome" | "beginMs" | "waitMs">,
): void {
  publish("oncekey:begin", () => ({
    ...labelsOf(asking),
    keyDigest: digestKey(asking.ticket?.key),
    ...measured(),
  }));
}

function labelsOf({ options, request }: Asking): RouteLabels {
  const { strategy } = options;
  return { strategy, method: request.method, route: request.routeOptions.url ?? "" };
}

function outcomeName(asking: Asking, outcome: Begun): BeginOutcomeName {
  const { options, ticket } = asking;
  if (outcome.kind === "unavailable" && runsUnprotected(asking, outcome)) return "unprotected";
  if (outcome.kind !== "replay" || ticket === undefined) return outcome.kind;
  if (outcome.record.fingerprint.equals(ticket.fingerprint)) return "replay";
  return options.mismatch === "reject" ? "conflict" : "mismatch";
}

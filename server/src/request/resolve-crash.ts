/**
 * Crash recovery: applies the route's `onCrash` to a ticket whose owner did not finish, and never
 * guesses.
 */
import { createProblem, PROBLEM_CONTENT_TYPE } from "@oncekey/shared";
import type { FastifyRequest } from "fastify";
import { toStored } from "../response/crash-response.ts";
import type { Decided } from "../response/crash-response.ts";
import { docsLink } from "../response/replay.ts";
import { deriveKey } from "../ticket/derive-key.ts";
import { publish } from "../telemetry/events.ts";
import { digestKey } from "../telemetry/key-digest.ts";
import type { CrashContext, CrashDecision, CrashResponse } from "../options/on-crash.ts";
import type { RouteOptions } from "../options/options.ts";
import type { Outcome } from "../layers/single-flight.ts";
import type { Claim, StoredResponse, Ticket } from "../store/store.ts";

/** Decides for a claim that was taken over: the handler may run, or something else is stored and answered. */
export async function resolveCrash(
  claim: Claim,
  ticket: Ticket,
  options: RouteOptions,
  request: FastifyRequest,
): Promise<Outcome> {
  const attempts = claim.attempt - 1;
  const keyDigest = digestKey(ticket.key);
  publish("oncekey:crashed", () => ({ keyDigest, foundBy: "retry", attempts }));
  request.log.warn(
    { keyDigest, attempts },
    "a lease ended without an answer: onCrash decides for this retry",
  );
  const decided = await decide(claim, ticket, options, { request, attempts });
  if (decided === "rerun") return { kind: "claimed", claim };
  const { response, kept = response } = decided;
  const completion = await claim.complete(kept, "keep");
  switch (completion.kind) {
    case "stored": {
      const record = {
        fingerprint: ticket.fingerprint,
        response,
        lifetimeMs: completion.lifetimeMs,
        fenceMs: completion.fenceMs,
        askedAt: completion.askedAt,
      };
      return { kind: "replay", record };
    }
    case "superseded":
      return { kind: "replay", record: completion.record };
    case "lost":
      return { kind: "in-flight" };
    case "rolled-back":
    case "unknown":
      return {
        kind: "unavailable",
        detail: "The idempotency store did not answer",
        cause: completion.cause,
      };
    default:
      return completion satisfies never;
  }
}

/** Outcome of crash recovery for one key. `left`: the record is unchanged. */
export type Recovery =
  | { readonly kind: "resolved"; readonly status: number }
  | { readonly kind: "left" };

/** Decides for a claim of crash recovery. Throws what `onCrash` throws, and the failure of the store. */
export async function recoverCrash(
  claim: Claim,
  ticket: Ticket,
  options: RouteOptions,
): Promise<Recovery> {
  const asked = { request: undefined, attempts: claim.attempt };
  const decided = await decide(claim, ticket, options, asked);
  if (decided === "rerun") {
    await claim.release("failed");
    return { kind: "left" };
  }
  const { response, kept = response } = decided;
  const completion = await claim.complete(kept, "keep");
  if (completion.kind === "stored") return { kind: "resolved", status: response.status };
  if (completion.kind === "superseded" || completion.kind === "lost") return { kind: "left" };
  throw completion.cause;
}

async function decide(
  claim: Claim,
  ticket: Ticket,
  options: RouteOptions,
  { request, attempts }: Pick<CrashContext, "request" | "attempts">,
): Promise<"rerun" | Decided> {
  const { onCrash } = options;
  if (onCrash === "rerun") return "rerun";
  if (typeof onCrash !== "function") return { response: outcomeUnknown(options) };
  const { key, scope, target } = ticket;
  try {
    const decision = await onCrash({
      key,
      scope,
      target,
      attempts,
      request,
      deriveKey: (name) => deriveKey(ticket, name),
    });
    if (decision === "rerun") return "rerun";
    // Here, where what throws still ends the claim: a body that is no JSON, a header that could not be sent.
    if (isDecision(decision)) {
      return decision === "fail"
        ? { response: outcomeUnknown(options) }
        : toStored(decision, options);
    }
    throw new TypeError("onCrash must return 'rerun', 'fail' or { status } from 200 to 599");
  } catch (error) {
    await claim.release("failed");
    throw error;
  }
}

function isDecision(decision: CrashDecision): boolean {
  if (decision === "fail") return true;
  const status: unknown = (decision as Partial<CrashResponse> | undefined)?.status;
  return Number.isInteger(status) && Number(status) >= 200 && Number(status) <= 599;
}

function outcomeUnknown(options: RouteOptions): StoredResponse {
  const detail =
    "The handler of this request failed or did not finish, and what it did is not known";
  const code = "idempotency_outcome_unknown";
  const problem = createProblem(code, { detail, baseUri: options.problemBaseUri });
  const link = docsLink(code, options);
  return {
    status: problem.status,
    headers: [
      ["content-type", PROBLEM_CONTENT_TYPE],
      ...(link === undefined ? [] : [["link", link] as const]),
    ],
    body: Buffer.from(JSON.stringify(problem)),
  };
}

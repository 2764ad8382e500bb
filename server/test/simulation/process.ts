/** A server process: the real engine over the model, and what the plugin does around it, without the web framework. */
import type { FastifyBaseLogger, FastifyRequest } from "fastify";
import { createAdministration } from "../../src/admin-api.ts";
import { resolveCrash } from "../../src/request/resolve-crash.ts";
import { deriveKey } from "../../src/ticket/derive-key.ts";
import { createEngines } from "../../src/backend/backend.ts";
import type { ClaimOutcome } from "../../src/backend/backend.ts";
import { resolveRouteOptions } from "../../src/options/options.ts";
import type { RouteOptions, Strategy } from "../../src/options/options.ts";
import type { Pools } from "../../src/backend/pools.ts";
import { POSTGRES } from "../../src/store/postgres/dialect.ts";
import { createConnect } from "../../src/store/postgres/connection.ts";
import { PLAIN_CODEC } from "../../src/store/record-codec.ts";
import type { Claim, StoredRecord, Ticket } from "../../src/store/store.ts";
import { sweepBatch } from "../../src/store/maintenance/sweep-batch.ts";
import { createPool, INSERT_EFFECT } from "./connection.ts";
import type { Line } from "./connection.ts";
import { idOf } from "./database.ts";
import { STATEMENTS } from "./statements.ts";

/** Behaviour of the handler after its effect. `linger`: answers after several leases, which only a heartbeat keeps. */
export type Plan = "answer" | "throw" | "refuse" | "linger";

export interface Rules {
  readonly strategy: Strategy;
  readonly onCrash: "rerun" | "fail";
  readonly mismatch: "replay" | "reject";
  readonly inFlight: "wait" | "reject";
  readonly retentionMs: number;
  readonly fenceMs: number;
}

/** Answer to a caller. `final`: it is stored. `gone`: it was. Every other kind asks for a retry or names another request. */
export type Answer =
  | {
      readonly kind: "final";
      readonly status: number;
      readonly body: string;
      readonly isMismatch: boolean;
    }
  | { readonly kind: "gone"; readonly status: number }
  | { readonly kind: "conflict" }
  | { readonly kind: "again"; readonly reason: string };

/** Observers of effects outside of the process. */
export interface Surroundings {
  /** Called when the handler of a key starts, with its number and behaviour. */
  readonly runs: (ticket: Ticket) => { readonly run: number; readonly plan: Plan };
  /** Called when the handler has ended or given up. */
  readonly ends: (ticket: Ticket) => void;
  /** Called for an effect that no transaction can roll back. */
  readonly happens: (ticket: Ticket, downstream: string) => void;
  /** Called if a claim that had ended reports that it was lost: its heartbeat goes on. */
  readonly lostAfterEnd: (ticket: Ticket) => void;
  /** Called when a claim reports its response as stored. */
  readonly stored: (ticket: Ticket, body: string) => void;
}

export interface ServerProcess {
  serve(ticket: Ticket): Promise<Answer>;
  sweep(): Promise<void>;
  /** Deletes the ticket's record by hand; `false` if the database did not confirm it. */
  forget(ticket: Ticket): Promise<boolean>;
  /** Cuts its connections; the line reports that it is dead. */
  die(): void;
  /** Number of connections in use. */
  readonly outCount: () => number;
}

const LEASE_MS = 5_000;
const LINGER_MS = 2.5 * LEASE_MS;
const log = { warn() {} } as unknown as FastifyBaseLogger;

export function createProcess(line: Line, rules: Rules, world: Surroundings): ServerProcess {
  const { pool, cut, outCount } = createPool(line);
  const parts = {
    schema: "oncekey",
    dialect: POSTGRES,
    statements: STATEMENTS,
    connect: createConnect(pool),
    codec: PLAIN_CODEC,
  };
  const open = async () => ({ kind: "open" as const, parts });
  const pools: Pools = { add() {}, open, test: open, seen: () => [pool] };
  // Small: the place for all entries is taken at the start, and a run starts many processes.
  const replayCache = { maxEntries: 4 };
  const options = resolveRules(rules);
  const engines = createEngines({ pool, pools, replayCache });
  const engine = engines.forRoute(options);
  const administration = createAdministration({
    option: pool,
    schema: "oncekey",
    pools,
    engines,
    routes: { optionsOf: () => options, leasePatterns: () => [] },
    recover: {},
    log,
  });
  const request = { log } as unknown as FastifyRequest;

  async function follow(ticket: Ticket, outcome: ClaimOutcome): Promise<Answer> {
    switch (outcome.kind) {
      case "claimed":
        return runHandler(outcome.claim, ticket, options, line, world);
      case "crashed":
        return follow(ticket, await resolveCrash(outcome.claim, ticket, options, request));
      case "replay":
        return replay(ticket, outcome.record, options);
      case "conflict":
        return { kind: "conflict" };
      case "in-flight":
      case "absent":
      case "unknown":
      case "busy":
      case "expired":
      case "unavailable":
        return { kind: "again", reason: outcome.kind };
      default:
        return outcome satisfies never;
    }
  }

  return {
    serve: async (ticket) => follow(ticket, await engine.begin(ticket, pool, () => {})),
    async sweep() {
      // A sweep that the database does not answer is tried again another day.
      await sweepBatch(parts, 100).catch(() => undefined);
    },
    forget: ({ key, scope, target }) =>
      administration.forget({ key, scope, target }, { by: "test", reason: "test" }).then(
        () => true,
        () => false,
      ),
    die: cut,
    outCount,
  };
}

function resolveRules({ strategy, onCrash, ...rules }: Rules): RouteOptions {
  const lease = { durationMs: LEASE_MS, onCrash };
  return resolveRouteOptions(
    { pool: (() => undefined) as never, scope: "single-tenant", waitMs: 300 },
    { ...rules, strategy, ...(strategy === "lease" ? { lease } : {}) },
    "POST /orders",
  );
}

function replay(
  { fingerprint }: Ticket,
  { response, fingerprint: stored, isTombstone }: StoredRecord,
  { mismatch }: RouteOptions,
): Answer {
  const isMismatch = !stored.equals(fingerprint);
  if (isMismatch && mismatch === "reject") return { kind: "conflict" };
  if (isTombstone) return { kind: "gone", status: response.status };
  const body = String(response.body);
  return { kind: "final", status: response.status, body, isMismatch };
}

/** Runs the handler and ends the claim with its answer, as the plugin does. */
async function runHandler(
  claim: Claim,
  ticket: Ticket,
  options: RouteOptions,
  { step, time }: Line,
  world: Surroundings,
): Promise<Answer> {
  const { run, plan } = world.runs(ticket);
  const isDone = await handle(claim, ticket, run, step, world);
  if (plan === "linger") await time.after(LINGER_MS);
  world.ends(ticket);
  const watchEnded = (): void =>
    claim.signal.addEventListener("abort", () => world.lostAfterEnd(ticket));
  if (!isDone || plan === "throw") {
    await claim.release("failed");
    watchEnded();
    return { kind: "again", reason: "the handler failed" };
  }
  const status = plan === "refuse" ? 422 : 201;
  const body = JSON.stringify(tellOf(ticket, run));
  const response = { status, headers: [], body: Buffer.from(body) };
  const completion = await claim.complete(response, plan === "refuse" ? "discard" : "keep");
  watchEnded();
  switch (completion.kind) {
    case "stored":
      world.stored(ticket, body);
      return { kind: "final", status, body, isMismatch: false };
    case "superseded":
      // The record may be another request's: the lease may have ended, and the key have expired or been forgotten.
      return replay(ticket, completion.record, options);
    case "lost":
    case "rolled-back":
    case "unknown":
      return { kind: "again", reason: completion.kind };
    default:
      return completion satisfies never;
  }
}

/** Body of the handler's answer: which request asked, and which run it was. */
function tellOf({ scope, fingerprint }: Ticket, run: number): object {
  return { run, scope, fingerprint: fingerprint.toString("hex") };
}

/** Performs the effect; `false` if the database failed it. */
async function handle(
  claim: Claim,
  ticket: Ticket,
  run: number,
  step: Line["step"],
  world: Surroundings,
): Promise<boolean> {
  try {
    if (claim.tx === undefined) world.happens(ticket, deriveKey(ticket, "charge"));
    else await claim.tx.query(INSERT_EFFECT, [idOf(ticket), String(run)]);
    await step("the handler goes on");
    return true;
  } catch {
    return false;
  }
}

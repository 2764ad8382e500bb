/** Crash recovery without a request: asks `onCrash` about leases that no retry finishes. */
import type { FastifyBaseLogger } from "fastify";
import type { Pool } from "pg";
import { withDeadline } from "./async/deadline.ts";
import type { RecoverOptions } from "./options/lease-options.ts";
import { recoverCrash } from "./request/resolve-crash.ts";
import type { RouteTable } from "./request/route-table.ts";
import type { AnnounceCrash } from "./store/maintenance/end-crashes.ts";
import { takeCrashed } from "./store/maintenance/take-crashed.ts";
import type { Crashed, Taken } from "./store/maintenance/take-crashed.ts";
import { createSchedule } from "./store/maintenance/sweeper.ts";
import type { Sweeper } from "./store/maintenance/sweeper.ts";
import type { StoreParts } from "./store/store-parts.ts";
import type { Claim } from "./store/store.ts";
import { publish } from "./telemetry/events.ts";
import { digestKey } from "./telemetry/key-digest.ts";

const DEFAULT_EVERY_MS = 30_000;
const DEFAULT_AFTER_MS = 60_000;
// Keys of one batch, asked about side by side, and batches of one pass: the rest waits for the next pass.
const BATCH = 10;
const MAX_BATCHES = 10;
// An onCrash that hangs holds up no other key for longer.
const MAX_ASK_MS = 60_000;

const CLOSED = "the application was closed before onCrash had answered";

/** The result of one pass. */
export interface Recovered {
  /** Keys that have an answer now. */
  readonly resolved: number;
  /** Keys that stay as they were: `onCrash` returned `'rerun'`, failed, or took too long. */
  readonly left: number;
}

/** One pass over the crashed leases of a database. Throws what the database throws. */
export async function recoverAll(
  parts: StoreParts,
  routes: Pick<RouteTable, "leasePatterns" | "optionsOf">,
  { everyMs = DEFAULT_EVERY_MS, afterMs = DEFAULT_AFTER_MS }: RecoverOptions,
  log: FastifyBaseLogger,
  signal?: AbortSignal,
): Promise<Recovered> {
  const patterns = routes.leasePatterns();
  let total: Recovered = { resolved: 0, left: 0 };
  for (let batch = 0; batch < MAX_BATCHES && patterns.length > 0; batch += 1) {
    if (signal?.aborted === true) break;
    const taken = await takeCrashed(parts, {
      afterMs,
      pauseMs: everyMs,
      patterns,
      limit: BATCH,
      rulesOf: routes.optionsOf,
      announce: (crashed) => announceCrash(log, crashed),
    });
    if (taken.length === 0) break;
    const outcomes = await Promise.all(taken.map((one) => recoverOne(one, routes, log, signal)));
    const resolved = outcomes.filter(Boolean).length;
    total = { resolved: total.resolved + resolved, left: total.left + taken.length - resolved };
  }
  return total;
}

/** Announces a crash once: an `onCrash` that is asked again is no second crash. */
function announceCrash(log: FastifyBaseLogger, { key, attempts, recoveries }: Crashed): void {
  if (recoveries > 0) return;
  publish("oncekey:crashed", () => ({ keyDigest: digestKey(key), foundBy: "recover", attempts }));
  const message = "a lease ended without an answer: crash recovery calls onCrash";
  log.warn({ keyDigest: digestKey(key), attempts }, message);
}

/** Returns the function that logs each crashed lease before a sweep deletes it. */
export function logUndecided(log: FastifyBaseLogger): AnnounceCrash {
  return ({ key, attempts }) =>
    log.warn(
      { keyDigest: digestKey(key), attempts },
      "a crashed lease is past its fence without a decision: the sweep deletes it, and its key runs again",
    );
}

/** Returns whether the key has an answer now. */
async function recoverOne(
  { ticket, claim }: Taken,
  routes: Pick<RouteTable, "optionsOf">,
  log: FastifyBaseLogger,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const options = routes.optionsOf(ticket.target);
  const keyDigest = digestKey(ticket.key);
  try {
    if (!options.codec.canSeal(ticket.fingerprint))
      return await giveUp(claim, "the record is encrypted, and the route has no option encryption");
    if (signal?.aborted === true) return await giveUp(claim, CLOSED);
    const late = (): Promise<never> =>
      giveUp(
        claim,
        signal?.aborted === true ? CLOSED : `onCrash did not answer within ${MAX_ASK_MS} ms`,
      );
    const outcome = await withDeadline(
      recoverCrash(claim, ticket, options),
      MAX_ASK_MS,
      late,
      signal,
    );
    if (outcome.kind === "left") return false;
    const { status } = outcome;
    publish("oncekey:resolved", () => ({ keyDigest, status, state: "crashed" }));
    log.info({ keyDigest, status }, "crash recovery stored the answer of onCrash");
    return true;
  } catch (error) {
    // The claim has ended: by recoverCrash, or by giveUp.
    log.error({ keyDigest, err: error }, "crash recovery failed for this key: it asks again later");
    return false;
  }
}

/** Ends the claim. An answer that comes later is stored only if no other owner has taken the lease over. */
async function giveUp(claim: Claim, why: string): Promise<never> {
  await claim.release("failed");
  throw new Error(why);
}

/** Recovers every pool once an interval, each by itself. */
export function startRecovery(
  pools: () => readonly Pool[],
  recover: (pool: Pool, signal: AbortSignal) => Promise<unknown>,
  { everyMs = DEFAULT_EVERY_MS }: RecoverOptions,
  report: (error: unknown, pool: Pool) => void,
): Sweeper {
  return createSchedule<Pool, unknown>(pools, recover, everyMs, (outcome, pool) => {
    if (typeof outcome === "object" && outcome !== null && "error" in outcome)
      report(outcome.error, pool);
  });
}

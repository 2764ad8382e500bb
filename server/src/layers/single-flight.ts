/** Deduplicates within this process: one request per ticket goes to the database, the others wait for its result. */
import { setTimeout as sleep } from "node:timers/promises";
import { withDeadline } from "../async/deadline.ts";
import type { MaybePromise } from "../async/maybe-promise.ts";
import { remainingMs } from "../store/record.ts";
import { scopePrefix, ticketId } from "../ticket/ticket-id.ts";
import type {
  BeginOutcome,
  Busy,
  ClaimEnd,
  LookupOutcome,
  Retention,
  Store,
  StoredRecord,
  Ticket,
  Unavailable,
} from "../store/store.ts";

/** The options of a route that concern duplicates. */
export interface Waiting extends Retention {
  readonly inFlight: "wait" | "reject";
  readonly waitMs: number;
  readonly mismatch: "replay" | "reject";
}

/** The outcome of a request. `conflict`: the running request is another one, known before it has finished. */
export type Outcome = BeginOutcome | LookupOutcome | Conflict;

interface Conflict {
  readonly kind: "conflict";
}

/** The records of a route, behind the layers that are configured for it. */
export interface RouteStore {
  /**
   * Claims the ticket, finds its record, or waits for the request that runs it.
   *
   * @param onWait called each time before it waits.
   */
  begin(ticket: Ticket, waiting: Waiting, onWait: () => void): MaybePromise<Outcome>;
  /** Looks up what is stored or running, without starting or waiting. */
  lookup(ticket: Ticket, waiting: Waiting): MaybePromise<Outcome>;
  /** Keeps the result of a running flight from everyone but the requests that wait for it already. */
  forget(ticket: Omit<Ticket, "fingerprint">): void;
  forgetScope(scope: string): void;
}

export interface SingleFlight extends RouteStore {
  begin(ticket: Ticket, waiting: Waiting, onWait: () => void): Promise<Outcome>;
  lookup(ticket: Ticket, waiting: Waiting): Promise<Outcome>;
}

/**
 * The end of a flight for its followers. `unclaimed`: its request ran nothing, so the next one may try. `failed`: its handler ran
 * and nothing was stored.
 */
type FlightResult =
  | { readonly kind: "replay"; readonly record: StoredRecord }
  | { readonly kind: "unclaimed" }
  | { readonly kind: "failed" }
  | Busy
  | Unavailable;

/** One request that asks the database for all of this process. Most have no followers: promises are made for the first one. */
class Flight {
  readonly fingerprint: Buffer;
  #isClaimed: boolean | undefined;
  #claiming: PromiseWithResolvers<boolean> | undefined;
  #ending: PromiseWithResolvers<FlightResult> | undefined;

  constructor(fingerprint: Buffer) {
    this.fingerprint = fingerprint;
  }

  /** Resolves with `true` once its request has the claim, with `false` if it ends without one. */
  get claimed(): Promise<boolean> {
    if (this.#isClaimed !== undefined) return Promise.resolve(this.#isClaimed);
    this.#claiming ??= Promise.withResolvers();
    return this.#claiming.promise;
  }

  get result(): Promise<FlightResult> {
    this.#ending ??= Promise.withResolvers();
    return this.#ending.promise;
  }

  claim(isClaimed: boolean): void {
    this.#isClaimed ??= isClaimed;
    this.#claiming?.resolve(isClaimed);
  }

  end(result: FlightResult): void {
    this.claim(false);
    this.#ending?.resolve(result);
  }
}

// Polls of another process: soon at first, because most handlers are short; 250 ms are invisible after a long one.
const FIRST_POLL_MS = 15;
const LAST_POLL_MS = 250;

/** @param onRecord called with each finished record that comes by. */
export function createSingleFlight(
  store: Store,
  onRecord: (ticket: Ticket, record: StoredRecord) => void,
): SingleFlight {
  const flights = new Map<string, Flight>();

  function endFlight(flight: Flight, ticket: Ticket, result: FlightResult): void {
    const id = ticket.id ?? ticketId(ticket);
    // The followers go on once this function has returned.
    flight.end(result);
    // Without its place its key was forgotten: the record may be the one that was deleted.
    if (flights.get(id) === flight) {
      flights.delete(id);
      if (result.kind === "replay") onRecord(ticket, result.record);
    }
  }

  /** Asks the database for all of this process, polling while another process runs the ticket. */
  async function leadFlight(
    ticket: Ticket,
    waiting: Waiting,
    until: number,
    onWait: () => void,
  ): Promise<Outcome> {
    const flight = new Flight(ticket.fingerprint);
    flights.set(ticket.id ?? ticketId(ticket), flight);
    let result: FlightResult = { kind: "unclaimed" };
    try {
      const outcome = await tryUntil(store, ticket, waiting, until, onWait);
      if (outcome.kind === "claimed" || outcome.kind === "crashed") {
        flight.claim(true);
        outcome.claim.onEnd((end) => endFlight(flight, ticket, resultFor(end, ticket)));
        return outcome;
      }
      if (outcome.kind !== "in-flight" && outcome.kind !== "conflict") result = outcome;
      endFlight(flight, ticket, result);
      return outcome;
    } catch (error) {
      endFlight(flight, ticket, result);
      throw error;
    }
  }

  return {
    async begin(ticket, waiting, onWait) {
      const until = performance.now() + waiting.waitMs;
      for (;;) {
        const flight = flights.get(ticket.id ?? ticketId(ticket));
        if (flight === undefined) return leadFlight(ticket, waiting, until, onWait);
        // The other request may only ask: the key can belong to this one, from a process that crashed.
        if (isConflict(flight, ticket, waiting)) {
          const isClaimed = await untilOrLate(flight.claimed, until);
          if (isClaimed === true) return { kind: "conflict" };
          if (isClaimed === false) continue;
        }
        if (waiting.inFlight === "reject") return { kind: "in-flight" };
        onWait();
        const result = await untilOrLate(flight.result, until);
        if (result === "late") return { kind: "in-flight" };
        // One after the other, the followers would multiply the load of a service that is down already.
        if (result.kind === "failed") return { kind: "in-flight", hasFailed: true };
        if (result.kind === "unclaimed") continue;
        // The record may have expired if the process was suspended in the meantime.
        if (result.kind !== "replay" || remainingMs(result.record) > 0) return result;
      }
    },
    async lookup(ticket, waiting) {
      const flight = flights.get(ticket.id ?? ticketId(ticket));
      if (flight === undefined)
        return applyMismatchPolicy(await store.lookup(ticket), ticket, waiting);
      if (!isConflict(flight, ticket, waiting)) return { kind: "in-flight" };
      const isClaimed = await untilOrLate(flight.claimed, performance.now());
      if (isClaimed === true) return { kind: "conflict" };
      return applyMismatchPolicy(await store.lookup(ticket), ticket, waiting);
    },
    forget: (ticket) => void flights.delete(ticket.id ?? ticketId(ticket)),
    forgetScope(scope) {
      const beginning = scopePrefix(scope);
      for (const id of flights.keys()) if (id.startsWith(beginning)) flights.delete(id);
    },
  };
}

/** Makes a conflict of an in-flight outcome if the running request is another one and the route refuses those. */
function applyMismatchPolicy<Kind extends Outcome>(
  outcome: Kind,
  ticket: Ticket,
  waiting: Waiting,
): Kind | Conflict {
  if (outcome.kind !== "in-flight" || outcome.fingerprint === undefined) return outcome;
  return isConflict({ fingerprint: outcome.fingerprint }, ticket, waiting)
    ? { kind: "conflict" }
    : outcome;
}

function isConflict(
  flight: Pick<Flight, "fingerprint">,
  ticket: Ticket,
  waiting: Waiting,
): boolean {
  return waiting.mismatch === "reject" && !flight.fingerprint.equals(ticket.fingerprint);
}

async function tryUntil(
  store: Store,
  ticket: Ticket,
  waiting: Waiting,
  until: number,
  onWait: () => void,
): Promise<BeginOutcome | Conflict> {
  for (let pauseMs = FIRST_POLL_MS; ; pauseMs = Math.min(pauseMs * 1.5, LAST_POLL_MS)) {
    const outcome = applyMismatchPolicy(await store.begin(ticket, waiting), ticket, waiting);
    if (outcome.kind !== "in-flight" || waiting.inFlight === "reject") return outcome;
    const leftMs = until - performance.now();
    if (leftMs <= 0) return outcome;
    onWait();
    // Half of the pause is random, so that waiting processes do not ask in step.
    await sleep(Math.min(leftMs, pauseMs * (0.5 + Math.random() / 2)));
  }
}

/** The result of a claim for the followers of its flight. */
function resultFor(end: ClaimEnd, { fingerprint }: Ticket): FlightResult {
  if (end.kind !== "completed") return { kind: "failed" };
  const { completion, response } = end;
  if (completion.kind === "superseded") return { kind: "replay", record: completion.record };
  if (completion.kind !== "stored") return { kind: "failed" };
  const { lifetimeMs, fenceMs, askedAt } = completion;
  return { kind: "replay", record: { fingerprint, response, lifetimeMs, fenceMs, askedAt } };
}

/** @param until on the clock of `performance.now()`. */
function untilOrLate<Value>(promise: Promise<Value>, until: number): Promise<Value | "late"> {
  return withDeadline(promise, until - performance.now(), () => "late" as const);
}

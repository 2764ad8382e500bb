/** One request per ticket goes to the database from this process; the others wait for what it brings. */
import { setTimeout as sleep } from "node:timers/promises";
import { remainingMs } from "../store/record.ts";
import type {
  BeginOutcome,
  Claim,
  LookupOutcome,
  Store,
  StoredRecord,
  Ticket,
  Unavailable,
} from "../store/store.ts";
import { wrapClaim } from "./wrap-claim.ts";

/** How a duplicate is treated on one route. */
export interface Waiting {
  readonly inFlight: "wait" | "reject";
  readonly waitMs: number;
  readonly mismatch: "replay" | "reject";
  readonly retentionMs: number;
}

/** What a request may do. `conflict`: the running request is another one, known before it has finished. */
export type Outcome = BeginOutcome | LookupOutcome | Conflict;

interface Conflict {
  readonly kind: "conflict";
}

export interface SingleFlight {
  /**
   * Claims the ticket, finds its record, or waits for whoever runs it.
   *
   * @param onHeld told each time before it waits.
   */
  begin(ticket: Ticket, waiting: Waiting, onHeld: () => void): Promise<Outcome>;
  /** What is stored or running, without starting or waiting. */
  lookup(ticket: Ticket, waiting: Waiting): Promise<Outcome>;
  /** What a flight on its way now brings is for those who wait for it already, and is kept for nobody. */
  forget(ticket: Omit<Ticket, "fingerprint">): void;
}

/** How a flight ended for those who wait for it. `released`: nothing was kept, the next in line may try. */
type Landing =
  | { readonly kind: "replay"; readonly record: StoredRecord }
  | { readonly kind: "released" }
  | Unavailable;

interface Flight {
  readonly fingerprint: Buffer;
  /** Resolves with `true` once its request has the claim, with `false` where it lands without one. */
  readonly claimed: Promise<boolean>;
  readonly claim: (isClaimed: boolean) => void;
  readonly landed: Promise<Landing>;
  readonly land: (landing: Landing) => void;
}

// Polls of another process: soon at first, since most handlers are short; a quarter of a second is invisible after a long one.
const FIRST_POLL_MS = 15;
const LAST_POLL_MS = 250;

/** @param onRecord told of each finished record that comes by. */
export function createSingleFlight(
  store: Store,
  onRecord: (ticket: Ticket, record: StoredRecord) => void,
): SingleFlight {
  const flights = new Map<string, Flight>();

  function takeOff(ticket: Ticket): Flight {
    const id = ticketId(ticket);
    const { promise, resolve } = Promise.withResolvers<Landing>();
    const { promise: claimed, resolve: claim } = Promise.withResolvers<boolean>();
    const flight: Flight = {
      fingerprint: ticket.fingerprint,
      claimed,
      claim,
      landed: promise,
      land(landing) {
        claim(false);
        // Where it has lost its place, its key was forgotten: what it brings may be what was deleted.
        if (flights.get(id) === flight) {
          flights.delete(id);
          if (landing.kind === "replay") onRecord(ticket, landing.record);
        }
        resolve(landing);
      },
    };
    flights.set(id, flight);
    return flight;
  }

  /** The one request of this process that asks the database, again and again while another process runs the ticket. */
  async function lead(
    ticket: Ticket,
    waiting: Waiting,
    until: number,
    onHeld: () => void,
  ): Promise<Outcome> {
    const flight = takeOff(ticket);
    let landing: Landing = { kind: "released" };
    try {
      const outcome = await tryUntil(store, ticket, waiting, until, onHeld);
      if (outcome.kind === "claimed" || outcome.kind === "crashed") {
        flight.claim(true);
        return { kind: outcome.kind, claim: landWith(outcome.claim, flight, ticket) };
      }
      if (outcome.kind !== "in-flight" && outcome.kind !== "conflict") landing = outcome;
      flight.land(landing);
      return outcome;
    } catch (error) {
      flight.land(landing);
      throw error;
    }
  }

  return {
    async begin(ticket, waiting, onHeld) {
      const until = performance.now() + waiting.waitMs;
      for (;;) {
        const flight = flights.get(ticketId(ticket));
        if (flight === undefined) return lead(ticket, waiting, until, onHeld);
        // Whoever only asks may be the one that is refused: the key can belong to this request, from a process that crashed.
        if (isConflict(flight, ticket, waiting)) {
          const isClaimed = await before(flight.claimed, until);
          if (isClaimed === true) return { kind: "conflict" };
          if (isClaimed === false) continue;
        }
        if (waiting.inFlight === "reject") return { kind: "in-flight" };
        onHeld();
        const landing = await before(flight.landed, until);
        if (landing === "timeout") return { kind: "in-flight" };
        if (landing.kind === "released") continue;
        // What was asked for before this request came may be over by now, where the process stood still.
        if (landing.kind !== "replay" || remainingMs(landing.record) > 0) return landing;
      }
    },
    async lookup(ticket, waiting) {
      const flight = flights.get(ticketId(ticket));
      if (flight === undefined) return ruled(await store.lookup(ticket), ticket, waiting);
      if (!isConflict(flight, ticket, waiting)) return { kind: "in-flight" };
      const isClaimed = await before(flight.claimed, performance.now());
      if (isClaimed === true) return { kind: "conflict" };
      return ruled(await store.lookup(ticket), ticket, waiting);
    },
    forget: (ticket) => void flights.delete(ticketId(ticket)),
  };
}

/** In flight, unless the strategy knows that it is another request and the route refuses those. */
function ruled<Kind extends Outcome>(
  outcome: Kind,
  ticket: Ticket,
  waiting: Waiting,
): Kind | Conflict {
  if (outcome.kind !== "in-flight" || outcome.fingerprint === undefined) return outcome;
  return isConflict({ fingerprint: outcome.fingerprint }, ticket, waiting)
    ? { kind: "conflict" }
    : outcome;
}

/** A ticket without its fingerprint, as one string. */
export function ticketId({ scope, target, key }: Omit<Ticket, "fingerprint">): string {
  return JSON.stringify([scope, target, key]);
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
  onHeld: () => void,
): Promise<BeginOutcome | Conflict> {
  for (let pauseMs = FIRST_POLL_MS; ; pauseMs = Math.min(pauseMs * 1.5, LAST_POLL_MS)) {
    const outcome = ruled(await store.begin(ticket, waiting.retentionMs), ticket, waiting);
    if (outcome.kind !== "in-flight" || waiting.inFlight === "reject") return outcome;
    const leftMs = until - performance.now();
    if (leftMs <= 0) return outcome;
    onHeld();
    // Half of the pause is random, so that waiting processes do not ask in step.
    await sleep(Math.min(leftMs, pauseMs * (0.5 + Math.random() / 2)));
  }
}

/** The same claim, which tells its followers how it ended. */
function landWith(claim: Claim, flight: Flight, ticket: Ticket): Claim {
  return wrapClaim(claim, {
    async complete(response, writes) {
      let landing: Landing = { kind: "released" };
      try {
        const completion = await claim.complete(response, writes);
        if (completion.kind === "superseded")
          landing = { kind: "replay", record: completion.record };
        if (completion.kind === "stored") {
          const record = {
            fingerprint: ticket.fingerprint,
            response,
            lifetimeMs: completion.lifetimeMs,
            askedAt: completion.askedAt,
          };
          landing = { kind: "replay", record };
        }
        return completion;
      } finally {
        flight.land(landing);
      }
    },
    async release(how) {
      try {
        await claim.release(how);
      } finally {
        flight.land({ kind: "released" });
      }
    },
  });
}

async function before<Value>(promise: Promise<Value>, until: number): Promise<Value | "timeout"> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<"timeout">((resolve) => {
    timer = setTimeout(resolve, Math.max(0, until - performance.now()), "timeout");
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

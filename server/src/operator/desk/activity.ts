/** Remembers the latest events of this process: outcomes of the last minute, busy keys, and the story of a key. Bounded. */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { TelemetryEvents } from "../../telemetry/events.ts";

/** One event of a key. */
export interface SeenEvent {
  /** Milliseconds since 1970, by the clock of this process. */
  readonly at: number;
  readonly what: "begin" | "complete" | "lease-lost";
  /** Outcome of the event, or the reason of a lost lease. */
  readonly outcome: string;
  readonly route: string | undefined;
}

/** A key that was asked for. Events have no key, only its digest. */
export interface BusyKey {
  readonly keyDigest: string;
  readonly route: string;
  readonly requests: number;
}

export interface Activity {
  /** Requests of the last minute by outcome, the most frequent first. */
  outcomes(): readonly (readonly [outcome: string, requests: number])[];
  /** Keys with the most requests, of the last five to ten minutes; only such as were asked for more than once. */
  busyKeys(limit: number): readonly BusyKey[];
  /** Events of a key, the oldest first. */
  story(keyDigest: string): readonly SeenEvent[];
  stop(): void;
}

const SECONDS = 60;
const GENERATION_MS = 5 * 60_000;
const MAX_KEYS = 2_000;
const MAX_EVENTS = 20;

interface Seen {
  requests: number;
  route: string;
  readonly events: SeenEvent[];
}

type Generation = Map<string, Seen>;

/** Listens from now on. @param now for tests. */
export function watchActivity(now: () => number = Date.now): Activity {
  const seconds = new Map<number, Map<string, number>>();
  let current: Generation = new Map();
  let before: Generation = new Map();
  let turnsAt = now() + GENERATION_MS;

  function seenOf(keyDigest: string): Seen {
    if (now() >= turnsAt) {
      before = now() >= turnsAt + GENERATION_MS ? new Map() : current;
      current = new Map();
      turnsAt = now() + GENERATION_MS;
    }
    const seen = current.get(keyDigest);
    if (seen !== undefined) return seen;
    if (current.size >= MAX_KEYS) forgetQuiet(current);
    const made: Seen = { requests: 0, route: "", events: [] };
    current.set(keyDigest, made);
    return made;
  }

  function note(keyDigest: string | undefined, event: Omit<SeenEvent, "at">): void {
    if (keyDigest === undefined) return;
    const seen = seenOf(keyDigest);
    if (event.what === "begin") seen.requests += 1;
    if (event.route !== undefined) seen.route = event.route;
    seen.events.push({ at: now(), ...event });
    if (seen.events.length > MAX_EVENTS) seen.events.shift();
  }

  const stops = [
    on("oncekey:begin", ({ outcome, keyDigest, method, route }) => {
      const second = Math.floor(now() / 1_000);
      const counts = seconds.get(second) ?? new Map<string, number>();
      seconds.set(second, counts);
      counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
      for (const old of seconds.keys()) if (old <= second - SECONDS) seconds.delete(old);
      note(keyDigest, { what: "begin", outcome, route: `${method} ${route}` });
    }),
    on("oncekey:complete", ({ outcome, keyDigest, method, route }) =>
      note(keyDigest, { what: "complete", outcome, route: `${method} ${route}` }),
    ),
    on("oncekey:lease-lost", ({ reason, keyDigest }) =>
      note(keyDigest, { what: "lease-lost", outcome: reason, route: undefined }),
    ),
  ];

  return {
    outcomes() {
      const oldest = Math.floor(now() / 1_000) - SECONDS;
      const sums = new Map<string, number>();
      for (const [second, counts] of seconds) {
        if (second <= oldest) continue;
        for (const [outcome, count] of counts) sums.set(outcome, (sums.get(outcome) ?? 0) + count);
      }
      return [...sums].toSorted(([, one], [, other]) => other - one);
    },
    busyKeys(limit) {
      const sums = new Map<string, BusyKey>();
      for (const [keyDigest, { requests, route }] of [...before, ...current]) {
        const sum = (sums.get(keyDigest)?.requests ?? 0) + requests;
        sums.set(keyDigest, { keyDigest, route, requests: sum });
      }
      return [...sums.values()]
        .filter(({ requests }) => requests > 1)
        .toSorted((one, other) => other.requests - one.requests)
        .slice(0, limit);
    },
    story: (keyDigest) =>
      [before, current].flatMap((generation) => generation.get(keyDigest)?.events ?? []),
    stop: () => {
      for (const stop of stops) stop();
    },
  };
}

/** Makes room: keys that were asked for once are no busy keys. */
function forgetQuiet(generation: Generation): void {
  for (const [keyDigest, { requests }] of generation)
    if (requests <= 1) generation.delete(keyDigest);
  if (generation.size < MAX_KEYS) return;
  const [oldest] = generation.keys();
  if (oldest !== undefined) generation.delete(oldest);
}

function on<Name extends keyof TelemetryEvents>(
  name: Name,
  listener: (event: TelemetryEvents[Name]) => void,
): () => void {
  const onMessage = (message: unknown): void => listener(message as TelemetryEvents[Name]);
  subscribe(name, onMessage);
  return () => void unsubscribe(name, onMessage);
}

/** When something was done to the servers or to what they stand on, and so what may be excused. */
import type { FaultEvent, HistoryEvent } from "../history/event.ts";

/** Time span from a fault's beginning until its aftermath is over. */
export interface Disturbance {
  readonly from: number;
  readonly until: number;
  /** Undefined: all servers. */
  readonly servers: readonly string[] | undefined;
}

interface Span {
  readonly from: number;
  readonly until: number;
}

// Connections that a fault broke are noticed a moment later, and servers that it ended take a moment to come back.
const AFTERMATH_MS = 5_000;

/** The time in which partitions of days come and go. It excuses no missing answer. */
export const DAYS_TURN = "days come and go";

export function disturbancesOf(events: readonly HistoryEvent[]): Disturbance[] {
  return spansOf(events, (fault) => fault !== DAYS_TURN);
}

/** Returns when partitions of days came and went. */
export function turnsOf(events: readonly HistoryEvent[]): Disturbance[] {
  return spansOf(events, (fault) => fault === DAYS_TURN);
}

function spansOf(
  events: readonly HistoryEvent[],
  isMeant: (fault: string) => boolean,
): Disturbance[] {
  const open = new Map<string, FaultEvent>();
  const found: Disturbance[] = [];
  for (const event of events) {
    if (event.kind !== "fault" || !isMeant(event.fault)) continue;
    const begun = open.get(event.fault);
    if (event.phase === "begin") open.set(event.fault, event);
    else if (begun !== undefined) {
      open.delete(event.fault);
      found.push(toDisturbance(begun, event.atMs + AFTERMATH_MS));
    }
  }
  return [...found, ...[...open.values()].map((begun) => toDisturbance(begun, Infinity))];
}

function toDisturbance({ atMs, servers }: FaultEvent, until: number): Disturbance {
  return { from: atMs, until, servers };
}

export function overlap(one: Span, other: Span): boolean {
  return one.from <= other.until && one.until >= other.from;
}

/** @param server which one was asked; behind the proxy it may be any. */
export function disturbs({ servers, ...span }: Disturbance, at: Span, server: string): boolean {
  return overlap(span, at) && (servers === undefined || [...servers, "proxy"].includes(server));
}

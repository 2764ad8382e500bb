/** I7 and I8: every key comes to an end, nothing is refused without a reason, and nothing is left behind. */
import type { FaultEvent, HistoryEvent } from "../history/event.ts";
import type { Case, Violation } from "./case.ts";

/** I7: the last attempt at each key, made after all faults have ended, got a final answer. */
export function checkSettled(one: Case): Violation[] {
  const last = one.attempts.at(-1);
  if (last === undefined || last.ending?.kind === "ok" || one.policy.isKeyless) return [];
  // A key that its client gave up is asked for no more.
  if (one.results.some(({ outcome }) => outcome === "rejected")) return [];
  if (last.ending?.kind === "fail" && last.ending.code === "idempotency_conflict") return [];
  const how = last.ending === undefined ? "no answer" : describe(last.ending);
  const message = `attempt ${last.invoke.attempt} was the last and got ${how}`;
  return [{ invariant: "I7", message, at: one }];
}

/** I7 in quiet times: while no fault strikes, nobody is told that the store is unavailable, and nobody is left without an answer. */
export function checkQuiet(cases: readonly Case[], events: readonly HistoryEvent[]): Violation[] {
  const disturbed = disturbancesOf(events);
  return cases.flatMap((one) =>
    one.attempts.flatMap(({ invoke, ending }): Violation[] => {
      if (ending?.kind !== "info" || ending.isLate || invoke.fault !== undefined) return [];
      const isExcused = disturbed.some(
        ({ from, until }) => invoke.atMs <= until && ending.atMs >= from,
      );
      if (isExcused) return [];
      const message = `attempt ${invoke.attempt} met no fault and got ${describe(ending)}`;
      return [{ invariant: "I7", message, at: one }];
    }),
  );
}

interface Disturbance {
  readonly from: number;
  readonly until: number;
}

// Connections that a fault broke are noticed a moment later, and servers that it ended take a moment to come back.
const AFTERMATH_MS = 5_000;

function disturbancesOf(events: readonly HistoryEvent[]): Disturbance[] {
  const open = new Map<string, FaultEvent>();
  const found: Disturbance[] = [];
  for (const event of events) {
    if (event.kind !== "fault") continue;
    const begun = open.get(event.fault);
    if (event.phase === "begin") open.set(event.fault, event);
    else if (begun !== undefined) {
      open.delete(event.fault);
      found.push({ from: begun.atMs, until: event.atMs + AFTERMATH_MS });
    }
  }
  return [...found, ...[...open.values()].map(({ atMs }) => ({ from: atMs, until: Infinity }))];
}

function describe(ending: {
  readonly status?: number;
  readonly code?: string;
  readonly reason?: string;
}): string {
  return [ending.status, ending.code ?? ending.reason]
    .filter((part) => part !== undefined)
    .join(" ");
}

/** What is found when all is quiet, by its name and how much of it there is; all of it should be none. */
export interface Leftovers {
  readonly where: string;
  readonly found: Readonly<Record<string, number>>;
}

/** I8: nothing is held, waited for or broken when the work is over. */
export function checkLeftovers(leftovers: readonly Leftovers[]): Violation[] {
  return leftovers.flatMap(({ where, found }) =>
    Object.entries(found)
      .filter(([, count]) => count > 0)
      .map(([what, count]) => ({
        invariant: "I8",
        message: `${where}: ${count} ${what}`,
        at: undefined,
      })),
  );
}

/**
 * When all faults have ended: every key is repeated until its answer is final or its time is up.
 */
import { LimitError, until } from "@oncekey/test-support/processes/deadline";
import { SETTLING } from "../checker/settling.ts";
import type { HistoryEvent } from "../history/event.ts";
import { sendOnce } from "./clients.ts";
import type { Sending } from "./clients.ts";
import { createRecordedFetch } from "./recorder.ts";
import type { RecorderParts } from "./recorder.ts";

const AT_ONCE = 48;
const PAUSE_MS = 100;

/**
 * @param withinMs how long one key may take: its lease, and some seconds.
 * @param signal ends it for all.
 * @returns the keys that were not asked for to the end because of that.
 */
export async function settle(
  parts: RecorderParts,
  keys: readonly Sending[],
  withinMs: number,
  signal: AbortSignal,
): Promise<Sending[]> {
  const recorded = createRecordedFetch(parts, SETTLING);
  const queue = keys.values();
  const unasked: Sending[] = [];
  const work = async (): Promise<void> => {
    for (const sending of queue)
      if (signal.aborted || !(await settleOne(recorded, sending, withinMs, signal)))
        unasked.push(sending);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return unasked;
}

/** Asks for one key until its answer is final or its time is up; `false`: the signal came before. */
export async function settleOne(
  recorded: typeof fetch,
  sending: Sending,
  withinMs: number,
  signal?: AbortSignal,
): Promise<boolean> {
  const ask = async (): Promise<"final" | "ended" | undefined> => {
    if (await sendOnce(recorded, sending)) return "final";
    return signal?.aborted === true ? "ended" : undefined;
  };
  try {
    const what = `a final answer for key ${sending.key}`;
    return (await until(ask, { what, patienceMs: withinMs, everyMs: PAUSE_MS })) === "final";
  } catch (error) {
    // The checker judges the last answer.
    if (!(error instanceof LimitError)) throw error;
    return true;
  }
}

/**
 * Leaves out two kinds of keys. A key that our client rejected is never sent again, and its result
 * has to stay true; a stranger with the same key has no such result. A key whose record has expired
 * would only run anew.
 */
export function stillAsked<Asked extends Pick<Sending, "key" | "scope" | "path">>(
  keys: readonly Asked[],
  events: readonly HistoryEvent[],
  policyOf: RecorderParts["policyOf"],
): Asked[] {
  const rejected = new Set<string>();
  const lastAttempts = new Map<string, number>();
  const answeredAt = new Map<number, number>();
  for (const event of events) {
    const { kind } = event;
    if (kind === "invoke")
      lastAttempts.set(nameOf(event.scope, event.key, event.target), event.attempt);
    else if (kind === "ok") answeredAt.set(event.attempt, event.atMs);
    else if (kind === "result" && event.outcome === "rejected")
      rejected.add(nameOf(event.scope, event.key));
  }
  const nowMs = events.at(-1)?.atMs ?? 0;
  return keys.filter(({ scope, key, path }) => {
    if (key === undefined) return true;
    if (rejected.has(nameOf(scope, key))) return false;
    const target = `POST ${path}`;
    const lastAt = answeredAt.get(lastAttempts.get(nameOf(scope, key, target)) ?? -1);
    return lastAt === undefined || nowMs - lastAt <= policyOf(target).retentionMs;
  });
}

function nameOf(...parts: readonly string[]): string {
  return JSON.stringify(parts);
}

/** When all faults have ended: every key is asked for once more, until its answer is final or its time is up. */
import { setTimeout as sleep } from "node:timers/promises";
import type { HistoryEvent } from "../history/event.ts";
import { sendOnce } from "./clients.ts";
import type { Sending } from "./clients.ts";
import { createRecordedFetch } from "./recorder.ts";
import type { RecorderParts } from "./recorder.ts";

const AT_ONCE = 48;
const PAUSE_MS = 100;

/** @param withinMs how long one key may take: its lease, and some seconds. */
export async function settle(
  parts: RecorderParts,
  keys: readonly Sending[],
  withinMs: number,
  signal: AbortSignal,
): Promise<void> {
  const recorded = createRecordedFetch(parts, "settling");
  const queue = keys.values();
  const work = async (): Promise<void> => {
    for (const sending of queue) {
      if (signal.aborted) return;
      await settleOne(recorded, sending, withinMs);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

/** Asks for one key until its answer is final. */
export async function settleOne(
  recorded: typeof fetch,
  sending: Sending,
  withinMs: number,
): Promise<void> {
  const until = performance.now() + withinMs;
  while (!(await sendOnce(recorded, sending)) && performance.now() < until) await sleep(PAUSE_MS);
}

/**
 * A key that our client gave up as rejected has ended: nobody sends it again, and what the client said has to stay true. A stranger
 * with the same key has not been told.
 */
export function stillAsked<Asked extends Pick<Sending, "key" | "scope">>(
  keys: readonly Asked[],
  events: readonly HistoryEvent[],
): Asked[] {
  const nameOf = (scope: string, key: string | undefined): string => JSON.stringify([scope, key]);
  const rejected = new Set(
    events.flatMap((event) =>
      event.kind === "result" && event.outcome === "rejected"
        ? [nameOf(event.scope, event.key)]
        : [],
    ),
  );
  return keys.filter(({ scope, key }) => key === undefined || !rejected.has(nameOf(scope, key)));
}

/** A stalled rig is a fault of its own: its proxies are in this process, and stall with it. */
import type { History } from "../history/history.ts";

export interface Stalls {
  /** Returns how many there were so far. */
  count(): number;
  stop(): void;
}

const EVERY_MS = 200;
const STALL_MS = 1_000;

/** Writes each stall of a second or more into the history, so that it excuses what a fault excuses, and is counted. */
export function watchStalls(history: History): Stalls {
  let count = 0;
  let seenAt = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    if (now - seenAt > EVERY_MS + STALL_MS) {
      count += 1;
      const fault = `the rig stood still ${count}`;
      history.add({ kind: "fault", phase: "begin", fault });
      history.add({ kind: "fault", phase: "end", fault });
    }
    seenAt = now;
  }, EVERY_MS);
  return { count: () => count, stop: () => clearInterval(timer) };
}

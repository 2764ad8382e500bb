/** What the device knows of its connection: a hint that delays, and never decides. */
import { pause } from "./backoff.ts";

/** Whether the device says that it has no connection. Where it says nothing, such as in Node, it has one. */
export function isOffline(): boolean {
  return (globalThis.navigator as Navigator | undefined)?.onLine === false;
}

/** Waits until the device is connected again, or the time is up, or the signal aborts. Never rejects. */
export async function untilOnline(waitMs: number, signal: AbortSignal | undefined): Promise<void> {
  const end = new AbortController();
  const stop = (): void => end.abort();
  if (signal?.aborted) stop();
  // Not everything that has a navigator has events: React Native has none.
  globalThis.addEventListener?.("online", stop);
  signal?.addEventListener("abort", stop);
  await pause(waitMs, end.signal);
  globalThis.removeEventListener?.("online", stop);
  signal?.removeEventListener("abort", stop);
}

/** Waits and their bounds: a timeout, and the signal of the caller. */

export interface Limit {
  /** Milliseconds until the attempt times out, the reading of its body included. */
  readonly timeoutMs: number;
  /** Aborts the attempt. */
  readonly signal: AbortSignal | undefined;
}

/**
 * Runs one attempt within its limit, and rejects when the limit is reached, even if the attempt ignores the signal that it gets.
 * Neither signal needs more than `aborted` and the event: React Native's have no `reason` and no `throwIfAborted`.
 */
export async function withinLimit<Result>(
  { timeoutMs, signal }: Limit,
  attempt: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController();
  let stop = (_reason: unknown): void => {};
  const stopped = new Promise<never>((_resolve, reject) => {
    stop = (reason) => {
      reject(reason);
      controller.abort(reason);
    };
  });
  const timer = setTimeout(() => {
    stop(new Error(`no whole answer within ${Math.ceil(timeoutMs)} ms`));
  }, timeoutMs);
  const unlisten = whenAborted(signal, () => stop(reasonOf(signal)));
  try {
    return await (signal?.aborted ? stopped : Promise.race([stopped, attempt(controller.signal)]));
  } finally {
    clearTimeout(timer);
    unlisten();
  }
}

/**
 * Waits, or ends early and without an error if the signal aborts: the next attempt checks the signal.
 *
 * @param network sends the event `online`, which ends the wait as well.
 */
export function pause(
  ms: number,
  signal: AbortSignal | undefined,
  network?: Partial<Pick<EventTarget, "addEventListener" | "removeEventListener">>,
): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const end = (): void => {
      clearTimeout(timer);
      unlisten();
      network?.removeEventListener?.("online", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    const unlisten = whenAborted(signal, end);
    // Not everything that has a navigator has events: React Native has none.
    network?.addEventListener?.("online", end);
  });
}

/** Calls `act` when a signal aborts, or at once if it has aborted. Returns the function that stops listening. */
export function whenAborted(signal: AbortSignal | undefined, act: () => void): () => void {
  if (signal?.aborted) act();
  else signal?.addEventListener("abort", act, { once: true });
  return () => signal?.removeEventListener("abort", act);
}

/** Returns why a signal aborted, as `fetch` would reject. */
export function reasonOf(signal: AbortSignal | undefined): unknown {
  const aborted = "This operation was aborted";
  return signal?.reason ?? Object.assign(new Error(aborted), { name: "AbortError" });
}

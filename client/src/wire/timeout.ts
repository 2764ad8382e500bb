/** What ends an attempt before its answer is whole, or another wait. */

export interface Limit {
  /** Milliseconds until the attempt is broken off, the reading of its body included. */
  readonly timeoutMs: number;
  /** Breaks the attempt off at once. */
  readonly signal: AbortSignal | undefined;
}

/**
 * Runs one attempt within its limit, and rejects when that is reached, whether or not the attempt heeds the signal that it is
 * given. Neither signal needs more than `aborted` and the event: React Native's have no `reason` and no `throwIfAborted`.
 */
export function withinLimit<Result>(
  { timeoutMs, signal }: Limit,
  attempt: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const controller = new AbortController();
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    };
    const stop = (reason: unknown): void => {
      end();
      reject(reason);
      controller.abort(reason);
    };
    const onAbort = (): void => stop(reasonOf(signal));
    const timer = setTimeout(() => {
      stop(new Error(`no whole answer within ${Math.ceil(timeoutMs)} ms`));
    }, timeoutMs);
    signal?.addEventListener("abort", onAbort);
    if (signal?.aborted) onAbort();
    else void attempt(controller.signal).then(resolve, reject).then(end);
  });
}

/** Why a signal aborted, as `fetch` would reject. */
export function reasonOf(signal: AbortSignal | undefined): unknown {
  const aborted = "This operation was aborted";
  return signal?.reason ?? Object.assign(new Error(aborted), { name: "AbortError" });
}

/** What ends an attempt before its answer is whole. */

export interface Limit {
  /** Milliseconds until the attempt is broken off, the reading of its body included. */
  readonly timeoutMs: number;
  /** Breaks the attempt off at once. */
  readonly signal: AbortSignal | undefined;
}

/** The time of one attempt was up. */
class AttemptTimeoutError extends Error {
  override name = "AttemptTimeoutError";
}

/**
 * Runs one attempt within its limit, and rejects when that is reached, whether or not the attempt heeds the signal that it is
 * given. Neither signal needs more than `aborted` and the event: React Native's have no `reason` and no `throwIfAborted`.
 */
export async function withinLimit<Result>(
  { timeoutMs, signal }: Limit,
  attempt: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController();
  let stop: (reason: unknown) => void = () => undefined;
  const stopped = new Promise<never>((_resolve, reject) => {
    stop = (reason) => {
      reject(reason);
      controller.abort(reason);
    };
  });
  const onAbort = (): void => stop(reasonOf(signal));
  const timer = setTimeout(() => {
    stop(new AttemptTimeoutError(`no whole answer within ${Math.ceil(timeoutMs)} ms`));
  }, timeoutMs);
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    if (signal?.aborted) throw reasonOf(signal);
    return await Promise.race([attempt(controller.signal), stopped]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

/** Why a signal aborted, as `fetch` would reject. */
export function reasonOf(signal: AbortSignal | undefined): unknown {
  if (signal?.reason !== undefined) return signal.reason;
  return Object.assign(new Error("This operation was aborted"), { name: "AbortError" });
}

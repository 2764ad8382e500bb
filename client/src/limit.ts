/** What ends an attempt before its answer is whole. */

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
export async function withinLimit<Result>(
  { timeoutMs, signal }: Limit,
  attempt: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  if (signal?.aborted) throw reasonOf(signal);
  const controller = new AbortController();
  let onAbort = (): void => undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stopped = new Promise<never>((_resolve, reject) => {
    const stop = (reason: unknown): void => {
      reject(reason);
      controller.abort(reason);
    };
    onAbort = () => stop(reasonOf(signal));
    const late = `no whole answer within ${Math.ceil(timeoutMs)} ms`;
    timer = setTimeout(() => stop(named("AttemptTimeoutError", late)), timeoutMs);
  });
  signal?.addEventListener("abort", onAbort);
  try {
    return await Promise.race([attempt(controller.signal), stopped]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

/** Why a signal aborted, as `fetch` would reject. */
export function reasonOf(signal: AbortSignal | undefined): unknown {
  return signal?.reason ?? named("AbortError", "This operation was aborted");
}

function named(name: string, message: string): Error {
  return Object.assign(new Error(message), { name });
}

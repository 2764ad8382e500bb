/**
 * Time limits for tests. A limit ends only what hangs, and names it; no test is decided by a limit.
 */
import { setTimeout as sleep } from "node:timers/promises";

/** Long beyond what a busy machine needs, in ms. */
export const PATIENCE_MS = 60_000;

const POLL_MS = 20;

export interface Limit {
  /**
   * The awaited event, as the end of "waited … ms for". A function is called when the time is over.
   */
  readonly what: string | (() => string);
  /** In ms. Default {@link PATIENCE_MS}. */
  readonly patienceMs?: number;
}

/**
 * Resolves as `event` does.
 *
 * @throws Error that names what did not happen, if the limit comes first.
 */
export async function within<Result>(event: Promise<Result>, limit: Limit): Promise<Result> {
  const { patienceMs = PATIENCE_MS } = limit;
  const late = new AbortController();
  const timer = sleep(patienceMs, undefined, { signal: late.signal }).then(
    () => {
      throw new Error(describe(limit));
    },
    // The event came first, and its result counts.
    () => event,
  );
  try {
    return await Promise.race([event, timer]);
  } finally {
    late.abort();
  }
}

/**
 * Polls until there is a result, for changes without an event.
 *
 * @param find returns `undefined` or `false` as long as there is none.
 * @throws Error that names the awaited event, if the limit comes first.
 */
export async function until<Result>(
  find: () => Promise<Result | undefined | false> | Result | undefined | false,
  limit: Limit,
): Promise<Result> {
  const { patienceMs = PATIENCE_MS } = limit;
  const end = performance.now() + patienceMs;
  for (;;) {
    const found = await find();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > end) throw new Error(describe(limit));
    await sleep(POLL_MS);
  }
}

function describe({ what, patienceMs = PATIENCE_MS }: Limit): string {
  return `waited ${patienceMs} ms for ${typeof what === "string" ? what : what()}`;
}

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

/** The limit came first. */
export class LimitError extends Error {
  override name = "LimitError";
}

/**
 * Resolves as `event` does.
 *
 * @throws LimitError that names what did not happen, if the limit comes first.
 */
export async function within<Result>(event: Promise<Result>, limit: Limit): Promise<Result> {
  const { patienceMs = PATIENCE_MS } = limit;
  const late = new AbortController();
  const timer = sleep(patienceMs, undefined, { signal: late.signal }).then(
    () => {
      throw new LimitError(describe(limit));
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

export interface PollLimit extends Limit {
  /** The pause between two questions, in ms. Default 20. */
  readonly everyMs?: number;
}

/**
 * Polls until there is a result, for changes without an event.
 *
 * @param find Returns `undefined` or `false` as long as there is none.
 * @throws LimitError that names the awaited event, if the limit comes first.
 */
export async function until<Result>(
  find: () => Promise<Result | undefined | false> | Result | undefined | false,
  limit: PollLimit,
): Promise<Result> {
  const { patienceMs = PATIENCE_MS, everyMs = POLL_MS } = limit;
  const end = performance.now() + patienceMs;
  for (;;) {
    const found = await find();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > end) throw new LimitError(describe(limit));
    await sleep(everyMs);
  }
}

function describe({ what, patienceMs = PATIENCE_MS }: Limit): string {
  return `waited ${patienceMs} ms for ${typeof what === "string" ? what : what()}`;
}

/** Deletes expired rows in the background, a batch at a time. */
import { setTimeout as sleep } from "node:timers/promises";

export interface SweepOptions {
  /** Milliseconds between two sweeps, 100–86_400_000. Default 60_000. */
  readonly intervalMs?: number;
  /** Rows of one batch, 1–10_000. Default 1_000: some milliseconds of work, so that nobody waits behind it. */
  readonly batchSize?: number;
}

/** Deletes up to `batchSize` expired rows and says how many; none where another process is at it. */
export type SweepBatch = (batchSize: number) => Promise<number>;

export const DEFAULT_BATCH_SIZE = 1_000;
const DEFAULT_INTERVAL_MS = 60_000;
// Between two full batches: requests go first.
const PAUSE_MS = 20;

/** Sweeps until nothing expired is left or another process is at it, and says how many rows that deleted. */
export async function sweepAll(
  sweep: SweepBatch,
  batchSize: number,
  signal?: AbortSignal,
): Promise<number> {
  for (let total = 0; ;) {
    if (signal?.aborted) return total;
    const deleted = await sweep(batchSize);
    total += deleted;
    if (deleted < batchSize) return total;
    await sleep(PAUSE_MS);
  }
}

export interface Sweeper {
  /** Ends it, and waits for the batch that runs. */
  stop(): Promise<void>;
}

/** Sweeps at once in a while; a failure is reported and the next time is tried again. */
export function startSweeper(
  sweeps: () => readonly SweepBatch[],
  { intervalMs = DEFAULT_INTERVAL_MS, batchSize = DEFAULT_BATCH_SIZE }: SweepOptions,
  report: (outcome: { readonly deleted: number } | { readonly error: unknown }) => void,
): Sweeper {
  const controller = new AbortController();
  let running: Promise<void> = Promise.resolve();

  async function sweepEach(): Promise<void> {
    for (const sweep of sweeps()) {
      try {
        report({ deleted: await sweepAll(sweep, batchSize, controller.signal) });
      } catch (error) {
        report({ error });
      }
    }
  }

  // Every process has its own moment: half to once and a half the interval.
  function schedule(): NodeJS.Timeout {
    return setTimeout(
      () => {
        running = sweepEach().finally(() => {
          if (!controller.signal.aborted) timer = schedule();
        });
      },
      intervalMs * (0.5 + Math.random()),
    ).unref();
  }
  let timer = schedule();

  return {
    async stop() {
      controller.abort();
      clearTimeout(timer);
      await running;
    },
  };
}

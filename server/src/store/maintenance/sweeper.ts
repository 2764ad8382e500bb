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
  /** Stops it, and waits for the batches that run. */
  stop(): Promise<void>;
}

/**
 * Sweeps every pool of `pools` once an interval, each by itself: a database that is away holds up no other. A failure is reported
 * and tried again in the next interval.
 */
export function startSweeper<Pool extends object>(
  pools: () => readonly Pool[],
  sweep: (pool: Pool, batchSize: number) => Promise<number>,
  { intervalMs = DEFAULT_INTERVAL_MS, batchSize = DEFAULT_BATCH_SIZE }: SweepOptions,
  report: (outcome: { readonly deleted: number } | { readonly error: unknown }, pool: Pool) => void,
): Sweeper {
  const controller = new AbortController();
  const running = new Map<Pool, Promise<void>>();

  async function sweepPool(pool: Pool): Promise<void> {
    try {
      const batch: SweepBatch = (size) => sweep(pool, size);
      report({ deleted: await sweepAll(batch, batchSize, controller.signal) }, pool);
    } catch (error) {
      report({ error }, pool);
    } finally {
      running.delete(pool);
    }
  }

  async function sweepEach(): Promise<void> {
    for (const pool of pools()) {
      if (controller.signal.aborted) return;
      if (!running.has(pool)) running.set(pool, sweepPool(pool));
      // Tenants share servers: their sweeps do not all begin at one moment.
      await sleep(PAUSE_MS);
    }
  }

  // Every process has its own moment: half to once and a half the interval.
  let round: Promise<void> = Promise.resolve();
  function schedule(): NodeJS.Timeout {
    return setTimeout(
      () => {
        round = sweepEach().finally(() => {
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
      await round;
      await Promise.all(running.values());
    },
  };
}

/** Sweeps expired rows in the background, a batch at a time. */
import { setTimeout as sleep } from "node:timers/promises";
import { withDeadline } from "../../async/deadline.ts";
import type { Position, Swept } from "./sweep-batch.ts";

export interface SweepOptions {
  /** Milliseconds between two sweeps, 100–86_400_000. Default 60_000. */
  readonly intervalMs?: number;
  /**
   * Rows of one batch.
   *
   * @range 1–10_000
   * @default 1_000 (some milliseconds, so that no request waits for it)
   */
  readonly batchSize?: number;
}

/** Sweeps about `batchSize` expired rows, from where the batch before ended. */
export type SweepBatch = (
  batchSize: number,
  from: Position | undefined,
) => Promise<Pick<Swept, "deleted" | "buried" | "next" | "droppedDays">>;

/** Number of rows that a sweep has deleted, of those that it has made tombstones of, and of the partitions that it has dropped. */
export type SweptRows = Pick<Swept, "deleted" | "buried" | "droppedDays">;

export const DEFAULT_BATCH_SIZE = 1_000;
const DEFAULT_INTERVAL_MS = 60_000;
// A batch takes some milliseconds. One that waits for a connection ends by itself: each batch is a transaction.
const MAX_STOP_MS = 2_000;
// Between two full batches: requests go first.
const PAUSE_MS = 20;

/** Sweeps until nothing expired is left or another process is at it, and returns how many rows that changed. */
export async function sweepAll(
  sweep: SweepBatch,
  batchSize: number,
  signal?: AbortSignal,
): Promise<SweptRows> {
  let from: Position | undefined;
  let total: SweptRows = { deleted: 0, buried: 0 };
  for (;;) {
    if (signal?.aborted) return total;
    const { deleted, buried, next, droppedDays } = await sweep(batchSize, from);
    total = {
      deleted: total.deleted + deleted,
      buried: total.buried + buried,
      ...(droppedDays !== undefined && { droppedDays }),
    };
    // A batch of locked rows alone would come again, if they all expired at one instant.
    if (next === undefined || (deleted + buried === 0 && next === from)) return total;
    from = next;
    await sleep(PAUSE_MS);
  }
}

export interface Sweeper {
  /** Stops it, and waits for the batches that run, 2 s at most: a database that is away must not hold up `app.close()`. */
  stop(): Promise<void>;
}

/** Sweeps every pool of `pools` once an interval, each by itself. */
export function startSweeper<Pool extends object>(
  pools: () => readonly Pool[],
  sweep: (pool: Pool, ...batch: Parameters<SweepBatch>) => ReturnType<SweepBatch>,
  { intervalMs = DEFAULT_INTERVAL_MS, batchSize = DEFAULT_BATCH_SIZE }: SweepOptions,
  report: (outcome: SweptRows | { readonly error: unknown }, pool: Pool) => void,
): Sweeper {
  return createSchedule(
    pools,
    (pool, signal) => sweepAll((size, from) => sweep(pool, size, from), batchSize, signal),
    intervalMs,
    report,
  );
}

/**
 * Runs `work` for every pool once an interval, each by itself: a database that is away holds up no other. A failure is reported
 * and tried again in the next interval.
 */
export function createSchedule<Pool extends object, Result>(
  pools: () => readonly Pool[],
  work: (pool: Pool, signal: AbortSignal) => Promise<Result>,
  intervalMs: number,
  report: (outcome: Result | { readonly error: unknown }, pool: Pool) => void,
): Sweeper {
  const controller = new AbortController();
  const running = new Map<Pool, Promise<void>>();

  async function workOn(pool: Pool): Promise<void> {
    try {
      report(await work(pool, controller.signal), pool);
    } catch (error) {
      report({ error }, pool);
    } finally {
      running.delete(pool);
    }
  }

  async function workOnEach(): Promise<void> {
    for (const pool of pools()) {
      if (controller.signal.aborted) return;
      if (!running.has(pool)) running.set(pool, workOn(pool));
      // Tenants share servers: their work does not all begin at one moment.
      await sleep(PAUSE_MS);
    }
  }

  // Every process has its own moment: half to once and a half the interval.
  let round: Promise<void> = Promise.resolve();
  function schedule(): NodeJS.Timeout {
    return setTimeout(
      () => {
        round = workOnEach().finally(() => {
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
      const ended = round.then(() => Promise.all(running.values()));
      await withDeadline(ended, MAX_STOP_MS, () => undefined);
    },
  };
}

/** `app.idempotency`: reads and maintains the records from within the application. */
import type { Pool } from "pg";
import { leaveScope } from "./context/handler-scope.ts";
import { originalPool } from "./context/transactional.ts";
import type { Engines } from "./backend/backend.ts";
import type { PoolOption } from "./options/options.ts";
import { partsOf } from "./backend/pools.ts";
import type { Pools } from "./backend/pools.ts";
import { readHealth } from "./store/maintenance/health.ts";
import type { TableHealth } from "./store/maintenance/health.ts";
import { findRecords, forgetRecord, readStats } from "./store/maintenance/records.ts";
import type { RecordAddress, TableRecord, TableStats } from "./store/maintenance/records.ts";
import { sweepBatch } from "./store/maintenance/sweep-batch.ts";
import { DEFAULT_BATCH_SIZE, sweepAll } from "./store/maintenance/sweeper.ts";
import type { SweptRows } from "./store/maintenance/sweeper.ts";

declare module "fastify" {
  interface FastifyInstance {
    /** The plugin's records, looked at and looked after. */
    readonly idempotency: IdempotencyAdministration;
  }
}

/** Every method takes the pool to work on as its last argument, which is needed only where option `pool` is a function. */
export interface IdempotencyAdministration {
  /** The records of a key in a scope, of every target or of one; without their bodies. */
  lookup(address: RecordAddress, pool?: Pool): Promise<TableRecord[]>;
  /**
   * Deletes the records, so that the key runs again, and returns their number. A record that a
   * handler works on stays. Other processes may replay from their own memory for up to a minute
   * more.
   */
  forget(address: RecordAddress, pool?: Pool): Promise<number>;
  /**
   * Sweeps all expired rows in batches, and returns how many were deleted and how many became tombstones: none if another
   * process is sweeping.
   */
  sweep(pool?: Pool): Promise<SweptRows>;
  /** Counts and sizes, over the whole table. */
  stats(pool?: Pool): Promise<TableStats>;
  /** Figures for a monitor: unfinished and crashed records, tombstones, lag of the sweep. Passes over no finished record. */
  health(pool?: Pool): Promise<TableHealth>;
  /** Resolves when the database answers and the strategies of all routes can be kept on it. Throws the reason otherwise. */
  ready(pool?: Pool): Promise<void>;
}

export function createAdministration(
  option: PoolOption,
  schema: string,
  pools: Pools,
  engines: Engines,
): IdempotencyAdministration {
  function poolOr(given: Pool | undefined): Pool {
    if (given !== undefined) return originalPool(given);
    if (typeof option !== "function") return option;
    throw new TypeError(
      "option pool is a function: app.idempotency needs the pool to work on as an argument",
    );
  }

  const methods: IdempotencyAdministration = {
    async lookup(address, pool) {
      return findRecords(poolOr(pool), schema, address);
    },
    async forget(address, pool) {
      const used = poolOr(pool);
      const parts = partsOf(await pools.open(used));
      const records = await findRecords(used, schema, address);
      const outcomes = await Promise.allSettled(
        records.map((record) => forgetRecord(parts, record)),
      );
      // Also what only the memory of this process still has, and what may be deleted although no answer came.
      for (const { key, scope, target } of [...records, address]) {
        if (target !== undefined) engines.forget(used, { key, scope, target });
      }
      return outcomes.filter((outcome) => {
        if (outcome.status === "rejected") throw outcome.reason;
        return outcome.value === "forgotten";
      }).length;
    },
    async sweep(pool) {
      const parts = partsOf(await pools.open(poolOr(pool)));
      return sweepAll((...batch) => sweepBatch(parts, ...batch), DEFAULT_BATCH_SIZE);
    },
    async stats(pool) {
      return readStats(poolOr(pool), schema);
    },
    async health(pool) {
      return readHealth(poolOr(pool), schema);
    },
    async ready(pool) {
      partsOf(await pools.test(poolOr(pool)));
    },
  };
  return Object.freeze(outsideOfHandlers(methods));
}

/** The same methods, whose use of the lent pool is no handler's. */
function outsideOfHandlers(methods: IdempotencyAdministration): IdempotencyAdministration {
  const outside = Object.entries(methods).map(([name, method]) => [
    name,
    (...given: readonly unknown[]) =>
      leaveScope(() => (method as (...all: readonly unknown[]) => unknown)(...given)),
  ]);
  return Object.fromEntries(outside) as IdempotencyAdministration;
}

/** `app.idempotency`: reads and maintains the records from within the application. */
import type { FastifyBaseLogger } from "fastify";
import type { Pool } from "pg";
import { leaveScope } from "./context/handler-scope.ts";
import { originalPool } from "./context/transactional.ts";
import type { Engines } from "./backend/backend.ts";
import type { CrashResponse } from "./options/on-crash.ts";
import type { RecoverOptions } from "./options/lease-options.ts";
import type { PoolOption } from "./options/options.ts";
import { checkDecision, checkList, checkResolution } from "./options/validate-admin.ts";
import { partsOf } from "./backend/pools.ts";
import type { Pools } from "./backend/pools.ts";
import { logUndecided, recoverAll } from "./recover.ts";
import type { Recovered } from "./recover.ts";
import type { RouteTable } from "./request/route-table.ts";
import { readHealth } from "./store/maintenance/health.ts";
import type { TableHealth } from "./store/maintenance/health.ts";
import { toStored } from "./response/crash-response.ts";
import {
  forgetRecord,
  forgetScope,
  listDecisions,
  resolveRecord,
} from "./store/maintenance/decisions.ts";
import type {
  DecisionOutcome,
  DecisionPage,
  DecisionQuery,
  DecisionReason,
  ForgottenScope,
} from "./store/maintenance/decisions.ts";
import { listRecords } from "./store/maintenance/list.ts";
import type { ListQuery, RecordPage } from "./store/maintenance/list.ts";
import type { RecordState } from "./store/maintenance/record-state.ts";
import { findRecords, readStats } from "./store/maintenance/records.ts";
import type { TableStats } from "./store/maintenance/records.ts";
import { sweepBatch } from "./store/maintenance/sweep-batch.ts";
import { DEFAULT_BATCH_SIZE, sweepAll } from "./store/maintenance/sweeper.ts";
import type { SweptRows } from "./store/maintenance/sweeper.ts";
import type { StoredResponse } from "./store/store.ts";
import type { RecordAddress, TableRecord } from "./store/maintenance/table-record.ts";
import { namedPattern } from "./ticket/target.ts";

declare module "fastify" {
  interface FastifyInstance {
    /** The plugin's records, looked at and looked after. */
    readonly idempotency: IdempotencyAdministration;
  }
}

/** A pool in a query. Only needed if option `pool` is a function. */
export interface InPool {
  readonly pool?: Pool | undefined;
}

/** Names one record: an address with its target. */
export type OneAddress = RecordAddress & { readonly target: string };

/** A record was not decided, because of the state that it is in. */
export class DecisionRefusedError extends Error {
  override name = "DecisionRefusedError";
  /** The state of the record; `absent` if there is none. */
  readonly state: RecordState | "absent";
  constructor(message: string, state: RecordState | "absent") {
    super(message);
    this.state = state;
  }
}

/** The pool to work on is a member of an address or a query, or the last argument. It is needed only if option `pool` is a function. */
export interface IdempotencyAdministration {
  /** The records of a key in a scope, of every target or of one; without their bodies. */
  lookup(address: RecordAddress): Promise<TableRecord[]>;
  /**
   * A page of records. Records that wait for a decision (`crashed`, `failed`) come the oldest first, by an index of their own. All
   * others come in the order of their keys.
   */
  list(query?: ListQuery & InPool): Promise<RecordPage>;
  /** A page of the audit, the newest first: what people and crash recovery decided, and why. */
  decisions(query?: DecisionQuery & InPool): Promise<DecisionPage>;
  /**
   * Stores an answer for a record without one, as if its handler had given it: every later request with the key gets it. For a
   * record that is crashed or failed.
   *
   * @throws DecisionRefusedError if the record is in another state: its handler runs, it is finished, or another was faster.
   */
  resolve(address: OneAddress, response: CrashResponse, decision: DecisionReason): Promise<void>;
  /**
   * Deletes the records, so that the key runs again, and returns their number. A record that a
   * handler works on stays. Other processes may replay from their own memory for up to a minute
   * more.
   */
  forget(address: RecordAddress, decision: DecisionReason): Promise<number>;
  /**
   * Deletes all records of a scope in batches, such as those of a user who asked for it. Reads the whole table. Records that a
   * handler works on stay and are counted. The audit keeps the name of the scope.
   */
  forgetScope(scope: string, decision: DecisionReason & InPool): Promise<ForgottenScope>;
  /**
   * Runs one pass of crash recovery now, as option `recover` does once an interval: asks `onCrash` about at most 100 crashed
   * leases. Does nothing while another process asks. For a script or a cron job, also beside `recover: false`.
   */
  recover(pool?: Pool): Promise<Recovered>;
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

export interface AdministrationParts {
  readonly option: PoolOption;
  readonly schema: string;
  readonly pools: Pools;
  readonly engines: Engines;
  readonly routes: Pick<RouteTable, "optionsOf" | "leasePatterns">;
  readonly recover: RecoverOptions;
  readonly log: FastifyBaseLogger;
}

export function createAdministration({
  option,
  schema,
  pools,
  engines,
  routes,
  recover,
  log,
}: AdministrationParts): IdempotencyAdministration {
  const { optionsOf } = routes;

  function poolOr(given: Pool | undefined): Pool {
    if (given !== undefined) return originalPool(given);
    if (typeof option !== "function") return option;
    throw new TypeError(
      "option pool is a function: app.idempotency needs the pool to work on, as a member of the address or query, or as an argument",
    );
  }

  /** Returns the response as it is to stand in the record's row. */
  function sealed(record: TableRecord, decided: CrashResponse): StoredResponse {
    const options = optionsOf(record.target);
    const { response, kept = response } = toStored(decided, options);
    const fingerprint = Buffer.from(record.fingerprint, "hex");
    if (!options.codec.canSeal(fingerprint))
      throw new Error("the record is encrypted, and the route has no option encryption");
    return options.codec.seal(kept, { ...record, fingerprint });
  }

  const methods: IdempotencyAdministration = {
    async lookup(address) {
      return findRecords(poolOr(address.pool), schema, address);
    },
    async list(query = {}) {
      checkList(query);
      const pattern = query.route === undefined ? undefined : namedPattern(query.route);
      return listRecords(poolOr(query.pool), schema, query, pattern);
    },
    async decisions(query = {}) {
      checkList(query);
      return listDecisions(poolOr(query.pool), schema, query);
    },
    async resolve(address, response, decision) {
      checkDecision(decision);
      checkResolution(address, response);
      const used = poolOr(address.pool);
      const parts = partsOf(await pools.open(used));
      const [record] = await findRecords(used, schema, address);
      if (record === undefined)
        throw new DecisionRefusedError("there is no record of this key", "absent");
      if (record.state !== "crashed" && record.state !== "failed") throw refused(record.state);
      const stored = sealed(record, response);
      const retention = optionsOf(address.target);
      let outcome: DecisionOutcome;
      try {
        outcome = await resolveRecord(parts, record, stored, retention, decision);
      } finally {
        // Also if no answer came: the record may be resolved.
        engines.forget(used, address);
      }
      if (outcome === "done") return;
      const [now] = await findRecords(used, schema, address);
      throw refused(outcome === "held" ? "running" : (now?.state ?? "absent"));
    },
    async forget(address, decision) {
      checkDecision(decision);
      const used = poolOr(address.pool);
      const parts = partsOf(await pools.open(used));
      const records = await findRecords(used, schema, address);
      const outcomes = await Promise.allSettled(
        records.map((record) => forgetRecord(parts, record, decision)),
      );
      // Also what only the memory of this process still has, and what may be deleted although no answer came.
      for (const { key, scope, target } of [...records, address]) {
        if (target !== undefined) engines.forget(used, { key, scope, target });
      }
      return outcomes.filter((outcome) => {
        if (outcome.status === "rejected") throw outcome.reason;
        return outcome.value === "done";
      }).length;
    },
    async forgetScope(scope, { pool, ...decision }) {
      checkDecision(decision);
      const used = poolOr(pool);
      const parts = partsOf(await pools.open(used));
      try {
        return await forgetScope(parts, scope, decision);
      } finally {
        engines.forgetScope(used, scope);
      }
    },
    async recover(pool) {
      const parts = partsOf(await pools.open(poolOr(pool)));
      return recoverAll(parts, routes, recover, log);
    },
    async sweep(pool) {
      const parts = partsOf(await pools.open(poolOr(pool)));
      const announce = logUndecided(log);
      return sweepAll((...batch) => sweepBatch(parts, ...batch, announce), DEFAULT_BATCH_SIZE);
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

function refused(state: RecordState | "absent"): DecisionRefusedError {
  const why =
    state === "running"
      ? "its handler runs: wait until its lease is over"
      : `it is ${state}: only a crashed or failed record can be resolved`;
  return new DecisionRefusedError(`the record was not resolved, because ${why}`, state);
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

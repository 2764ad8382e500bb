/** The records as the operator's page works with them. */
import type { FastifyInstance } from "fastify";
import type { Pool } from "pg";
import { originalPool } from "../context/transactional.ts";
import { REGISTRATION } from "../request/protect-route.ts";
import type { CrashResponse } from "../options/on-crash.ts";
import type { TableHealth } from "../store/maintenance/health.ts";
import type { TableRecord } from "../store/maintenance/records.ts";
import { findScopes, findUnfinished } from "../store/maintenance/unfinished.ts";
import type { UnfinishedRecord } from "../store/maintenance/unfinished.ts";

/** Which record. */
export interface Address {
  readonly key: string;
  readonly scope: string;
  readonly target: string;
}

/** Name of the person who decides, and the reason. */
export interface DecisionReason {
  readonly by: string;
  readonly reason: string;
}

/** A decision as the audit has it. */
export interface DecisionMade {
  /** ISO 8601. */
  readonly at: string;
  readonly action: string;
  readonly by: string;
  readonly reason: string;
  readonly status: number | null;
}

export interface Desk {
  health(): Promise<TableHealth>;
  unfinished(limit: number): Promise<UnfinishedRecord[]>;
  /** Records of a key, in one scope or in all. */
  find(key: string, scope: string | undefined): Promise<TableRecord[]>;
  /** Returns whether the record was deleted: a record that a handler works on stays. */
  forget(address: Address, decision: DecisionReason): Promise<boolean>;
  /** Stores a response for a crashed or failed record. Returns whether it was stored. */
  resolve?(
    this: void,
    address: Address,
    response: CrashResponse,
    decision: DecisionReason,
  ): Promise<boolean>;
  /** Decisions about a key in the scopes of its records, the newest first. */
  decisions?(
    key: string,
    scope: string | undefined,
    records: readonly TableRecord[],
  ): Promise<readonly DecisionMade[]>;
}

const MAX_SCOPES = 20;

/** @throws TypeError if `idempotency` is not registered around the page, or its pool comes with the request. */
export function createDesk(app: FastifyInstance, given: Pool | undefined): Desk {
  const registration = app[REGISTRATION];
  if (registration === undefined) {
    throw new TypeError(
      "operator needs idempotency in the same scope or around it: register idempotency first",
    );
  }
  const { schema } = registration;
  const pool = given === undefined ? registration.pool : originalPool(given);
  if (typeof pool === "function") {
    throw new TypeError(
      "operator option pool is required if the option pool of idempotency is a function; register one page for each pool",
    );
  }
  const { idempotency } = app;
  return {
    health: () => idempotency.health(pool),
    unfinished: (limit) => findUnfinished(pool, schema, limit),
    async find(key, scope) {
      const scopes =
        scope === undefined ? await findScopes(pool, schema, key, MAX_SCOPES) : [scope];
      const found = await Promise.all(
        scopes.map((one) => idempotency.lookup({ key, scope: one }, pool)),
      );
      return found.flat();
    },
    forget: async (address) => (await idempotency.forget(address, pool)) > 0,
  };
}

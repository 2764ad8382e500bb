/** The records as the operator's page works with them. */
import type { FastifyInstance } from "fastify";
import type { Pool } from "pg";
import { DecisionRefusedError } from "../../admin-api.ts";
import { originalPool } from "../../context/transactional.ts";
import type { CrashResponse } from "../../options/on-crash.ts";
import { REGISTRATION } from "../../request/protect-route.ts";
import type { Decision, DecisionReason } from "../../store/maintenance/decisions.ts";
import type { TableHealth } from "../../store/maintenance/health.ts";
import { findScopes } from "../../store/maintenance/health.ts";
import type { TableRecord } from "../../store/maintenance/table-record.ts";

/** Which record. */
export interface Address {
  readonly key: string;
  readonly scope: string;
  readonly target: string;
}

export interface Desk {
  health(): Promise<TableHealth>;
  /** Records that wait for a decision, then those that run; of each state the oldest first. */
  open(limit: number): Promise<TableRecord[]>;
  /** Records of a key, in one scope or in all. */
  find(key: string, scope: string | undefined): Promise<TableRecord[]>;
  /** Decisions about a key, the newest first. */
  decisions(key: string, scope: string | undefined): Promise<Decision[]>;
  /** Returns whether the record was deleted: a record that a handler works on stays. */
  forget(address: Address, decision: DecisionReason): Promise<boolean>;
  /** Stores a response for a crashed or failed record. Returns whether it was stored. */
  resolve(address: Address, response: CrashResponse, decision: DecisionReason): Promise<boolean>;
}

const MAX_SCOPES = 20;
const STATES = ["crashed", "failed", "running"] as const;

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
    async open(limit) {
      const pages = await Promise.all(
        STATES.map((state) => idempotency.list({ state, limit, pool })),
      );
      return pages.flatMap(({ records }) => records).slice(0, limit);
    },
    async find(key, scope) {
      const scopes =
        scope === undefined ? await findScopes(pool, schema, key, MAX_SCOPES) : [scope];
      const found = await Promise.all(
        scopes.map((one) => idempotency.lookup({ key, scope: one, pool })),
      );
      return found.flat();
    },
    decisions: async (key, scope) => (await idempotency.decisions({ key, scope, pool })).decisions,
    forget: async (address, decision) =>
      (await idempotency.forget({ ...address, pool }, decision)) > 0,
    async resolve(address, response, decision) {
      try {
        await idempotency.resolve({ ...address, pool }, response, decision);
        return true;
      } catch (error) {
        if (error instanceof DecisionRefusedError) return false;
        throw error;
      }
    },
  };
}

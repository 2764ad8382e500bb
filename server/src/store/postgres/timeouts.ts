/** The timeouts that bound every transaction of the store: only ever lower than those of the role or the database. */
import type { Pool, PoolClient } from "pg";
import { queryPlain } from "./plain-query.ts";

export const DEFAULT_MAX_HANDLER_MS = 60_000;

const LOCK = "10s";
const STATEMENT = "30s";
const MIN_IDLE_MS = 10_000;

/** Returns when Postgres ends a silent transaction: a process that is stopped or cut off cannot end its handler. */
export function idleLimitMs(maxHandlerMs: number): number {
  return Math.max(maxHandlerMs, MIN_IDLE_MS);
}

const NAMES = ["lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"] as const;

type Name = (typeof NAMES)[number];

/** For each setting the value that a transaction is to have, as Postgres writes it. */
type Limits = Readonly<Record<Name, string>>;

/** The role's own settings in ms; 0 means no limit. */
export type OwnLimits = Readonly<Record<Name, number>>;

function limitsOf(maxHandlerMs: number): Limits {
  return {
    lock_timeout: LOCK,
    statement_timeout: STATEMENT,
    idle_in_transaction_session_timeout: `${idleLimitMs(maxHandlerMs)}ms`,
  };
}

/** Expressions that set the limits of a transaction. They touch only its settings; two at once do not meet. */
export function limitExpressions(maxHandlerMs: number): string[] {
  const limits = limitsOf(maxHandlerMs);
  return NAMES.map((name) => stricter(name, limits[name]));
}

/** Returns an expression that sets one limit of a transaction, unless the role's own is stricter. */
export function stricter(name: Name, limit: string): string {
  // A value of 0 means no limit at all, so it counts as longer than ours. Most roles have none: then no interval is parsed.
  const value = `case when current_setting('${name}') = '0' then '${limit}'
      when current_setting('${name}')::interval <= interval '${limit}' then current_setting('${name}')
      else '${limit}' end`;
  return `set_config('${name}', ${value}, true)`;
}

/** Sets the limits by a statement of its own. */
export function setLimits(maxHandlerMs: number): string {
  return `select ${limitExpressions(maxHandlerMs).join(", ")}`;
}

/** Reads the role's own limits, for an engine that passes only `set` commands on to its other nodes. */
export async function readOwnLimits(database: Pool | PoolClient): Promise<OwnLimits> {
  const read = (name: Name): string =>
    `(extract(epoch from current_setting('${name}')::interval) * 1000)::text as ${name}`;
  const { rows } = await queryPlain<Record<Name, string>>(
    database,
    `select ${NAMES.map(read).join(", ")}`,
  );
  const [row] = rows;
  return {
    lock_timeout: Number(row?.lock_timeout ?? 0),
    statement_timeout: Number(row?.statement_timeout ?? 0),
    idle_in_transaction_session_timeout: Number(row?.idle_in_transaction_session_timeout ?? 0),
  };
}

/** The same limits as `set` commands. */
export function setCommands(own: OwnLimits, maxHandlerMs: number): string[] {
  const limits = limitsOf(maxHandlerMs);
  return NAMES.map((name) => setCommand(name, limits[name], own));
}

/** The same for one limit. */
export function setCommand(name: Name, limit: string, own: OwnLimits): string {
  const isStricter = own[name] > 0 && own[name] < inMs(limit);
  return `set local ${name} = '${isStricter ? `${own[name]}ms` : limit}'`;
}

function inMs(limit: string): number {
  return limit.endsWith("ms") ? Number.parseInt(limit, 10) : Number.parseInt(limit, 10) * 1000;
}

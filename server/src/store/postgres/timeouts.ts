/** The timeouts that bound every transaction of the store: only ever lower than what the role or the database has set. */
import type { Pool, PoolClient } from "pg";

// A handler may hold its transaction silently for 60 s at the most, as when a process is stopped: then its lock is freed.
const LIMITS = {
  lock_timeout: "10s",
  statement_timeout: "30s",
  idle_in_transaction_session_timeout: "60s",
} as const;

const NAMES = ["lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"] as const;

/** For each setting the value that a transaction is to have, as Postgres writes it. */
export type Limits = Readonly<Record<(typeof NAMES)[number], string>>;

/** Sets them for a transaction. Touches only its settings; two at once do not meet. */
export const SET_LIMITS: string = `select ${NAMES.map(
  (name) => `set_config('${name}', ${stricter(name)}, true)`,
).join(", ")}`;

/** What {@link SET_LIMITS} would set, for an engine that carries to its other nodes only what `set` commands say. */
export async function stricterLimits(database: Pool | PoolClient): Promise<Limits> {
  const { rows } = await database.query<Limits>(
    `select ${NAMES.map((name) => `${stricter(name)} as ${name}`).join(", ")}`,
  );
  return rows[0] ?? LIMITS;
}

/** The same as `set` commands. */
export function setCommands(limits: Limits): string[] {
  return NAMES.map((name) => `set local ${name} = '${limits[name].replaceAll("'", "''")}'`);
}

// A value of 0 means no limit at all, so it counts as longer than ours.
function stricter(name: (typeof NAMES)[number]): string {
  const ours = LIMITS[name];
  return `case when current_setting('${name}')::interval between interval '1 millisecond' and interval '${ours}'
    then current_setting('${name}') else '${ours}' end`;
}

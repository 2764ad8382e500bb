/** The rig's own tables, and what is read from the database when the work is over. */
import type { Pool } from "pg";
import { EFFECTS } from "../../shop/effects.ts";
import { IDLE_MS } from "../protocol/routes.ts";
import type { DecisionRow, Effect, RecordRow, Row } from "../checker/case.ts";
import { headersText } from "../load/recorder.ts";

const TABLES = `
${EFFECTS}
create table hot_rows (id integer primary key, touched bigint not null);
insert into hot_rows select id, 0 from generate_series(0, 2) as id;`;

// Stricter than Oncekey's own, which it leaves alone: a stopped server loses its transaction within a test's patience.
const SETTINGS = {
  idle_in_transaction_session_timeout: `${IDLE_MS}ms`,
  client_connection_check_interval: "200ms",
  deadlock_timeout: "50ms",
};

export async function createTables(pool: Pool): Promise<void> {
  await pool.query(TABLES);
  const { rows } = await pool.query<{ name: string }>("select current_database() as name");
  const database = rows[0]?.name;
  const settings = Object.entries(SETTINGS).map(
    ([setting, value]) => `alter database "${database}" set ${setting} = '${value}';`,
  );
  await pool.query(settings.join("\n"));
}

const READ_EFFECTS = `
select 'effect' as kind, id, operation, scope, key, target, fingerprint, downstream,
  (extract(epoch from at) * 1000)::float8 as "wallAt"
from effects where scope like $1 order by number`;

const RECORDS = `
select 'record' as kind, scope, key, target, status, convert_from(body, 'UTF8') as body, headers,
  (extract(epoch from expires_at - created_at) * 1000)::float8 as "keptMs"
from oncekey.records where scope like $1`;

const DECISIONS = `
select 'decision' as kind, action, scope, key, target, status
from oncekey.decisions where scope like $1 and key is not null`;

/** @param scopes what the names of the scopes begin with. */
export async function dump(pool: Pool, scopes: string): Promise<Row[]> {
  const effects = await pool.query<Effect>(READ_EFFECTS, [`${scopes}-%`]);
  const records = await pool.query<RecordRow>(RECORDS, [`${scopes}-%`]);
  const decisions = await pool.query<DecisionRow>(DECISIONS, [`${scopes}-%`]);
  return [...effects.rows, ...records.rows.map(withHeaders), ...decisions.rows];
}

// As the history has those of an answer.
function withHeaders(record: RecordRow): RecordRow {
  if (typeof record.headers !== "string") return record;
  const stored = new Headers(JSON.parse(record.headers) as [string, string][]);
  return { ...record, headers: headersText(stored) };
}

/** The day of what a run has left is over: the servers sweep it. */
export async function endRetention(pool: Pool, scopes: string): Promise<void> {
  // No client asks for these scopes any more; a row that is swept at the same time cannot be
  // updated.
  await pool.query(
    "update oncekey.records set expires_at = statement_timestamp(), fence_until = null where scope like $1 and expires_at > statement_timestamp()",
    [`${scopes}-%`],
  );
}

const LEFT = `
select
  (select count(*)::int from pg_locks where locktype = 'advisory'
    and database = (select oid from pg_database where datname = current_database())) as "advisory locks",
  (select count(*)::int from pg_stat_activity where datname = current_database()
    and pid <> pg_backend_pid() and state like 'idle in transaction%') as "open transactions",
  (select count(*)::int from pg_stat_activity where datname = current_database()
    and pid <> pg_backend_pid() and backend_type = 'client backend' and state = 'active') as "statements that still run"`;

/** Returns the resources that are still held in the database. */
export async function heldInDatabase(pool: Pool): Promise<Record<string, number>> {
  const { rows } = await pool.query<Record<string, number>>(LEFT);
  return rows[0] ?? {};
}

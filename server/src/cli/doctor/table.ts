/** Checks of the tables: existence, logging, permissions and size. */
import { PARTS, readSweepLag } from "../../store/maintenance/records.ts";
import { migrationNames } from "../../store/sql/migration-files.ts";
import { count, formatDuration } from "../io/print.ts";
import { fail, ok, warn } from "./finding.ts";
import type { Examine } from "./finding.ts";

export const examineSchema: Examine = async ({ one, schema }) => {
  const known = await migrationNames();
  const { rows: found } = await one.query("select to_regclass($1::text) is not null as there", [
    `"${schema}".migrations`,
  ]);
  const { rows } = found[0]?.there
    ? await one.query<{ name: string }>(`select name from "${schema}".migrations`)
    : { rows: [] };
  const applied = new Set(rows.map(({ name }) => name));
  const missing = known.filter((name) => !applied.has(name));
  if (missing.length > 0) {
    return fail(
      `"${schema}" lacks ${missing.join(", ")}`,
      `run: oncekey migrate --schema ${schema}`,
    );
  }
  const newer = [...applied].filter((name) => !known.includes(name));
  if (newer.length > 0) {
    return warn(
      `"${schema}" is newer than this version: ${newer.join(", ")}`,
      "update @oncekey/server",
    );
  }
  return ok(`"${schema}" is up to date (${known.at(-1)})`);
};

export const examineLogged: Examine = async ({ one, schema }) => {
  const { rows } = await one.query<{ logged: boolean }>(
    `select bool_and(relpersistence = 'p') as logged from ${PARTS} join pg_class on oid = part`,
    [records(schema)],
  );
  if (rows[0]?.logged === true) return ok("the records are logged: they survive a crash");
  return fail(
    "the records are not logged: a crash empties the table, and what was done is done again",
    `alter table ${records(schema)} set logged`,
  );
};

// A decision writes its row of the audit in the same transaction: without that right no record is resolved, forgotten or swept
// after a crash.
const NEEDED_RIGHTS = {
  records: ["select", "insert", "update", "delete"],
  decisions: ["select", "insert"],
} as const;

export const examineRights: Examine = async ({ one, schema }) => {
  const missing: string[] = [];
  let role = "";
  for (const [table, needed] of Object.entries(NEEDED_RIGHTS)) {
    const { rows } = await one.query<{ role: string; missing: string | null }>(
      `select current_user::text as role, string_agg(needed, ', ') filter (
         where not has_table_privilege($1::text, needed)) as missing
       from unnest($2::text[]) as needed`,
      [`"${schema}".${table}`, needed],
    );
    role = rows[0]?.role ?? "";
    const lacked = rows[0]?.missing ?? null;
    if (lacked !== null) missing.push(`${lacked} on "${schema}".${table}`);
  }
  if (missing.length === 0) return ok(`${role} may use the records and the audit of decisions`);
  return fail(
    `${role} lacks ${missing.join(", and ")}`,
    missing.map((rights) => `grant ${rights} to "${role}"`).join("; "),
  );
};

// Below it a table is too small for it to matter; above the share, space and time are lost to rows that are gone.
const MIN_DEAD_ROWS = 10_000;
const MAX_DEAD_SHARE = 0.2;

export const examineBloat: Examine = async ({ one, schema }) => {
  const { rows } = await one.query<{ live: number; dead: number; vacuumedAt: string | null }>(
    `select sum(n_live_tup)::float8 as live, sum(n_dead_tup)::float8 as dead,
       max(greatest(last_vacuum, last_autovacuum))::text as "vacuumedAt"
     from ${PARTS} join pg_stat_all_tables on relid = part`,
    [records(schema)],
  );
  const { live = 0, dead = 0, vacuumedAt = null } = rows[0] ?? {};
  const found = `${count(dead, "dead row")} beside ${live.toLocaleString("en-US")} live, last vacuumed ${vacuumedAt ?? "never"}`;
  if (dead <= MIN_DEAD_ROWS || dead <= live * MAX_DEAD_SHARE) return ok(found);
  return warn(
    found,
    `vacuum ${records(schema)}; if that does not help, a transaction or replication slot left open holds it up`,
  );
};

// Servers sweep once a minute by default.
const MAX_LAG_MS = 15 * 60_000;

export const examineSweep: Examine = async ({ one, schema }) => {
  const { expired, lagMs } = await readSweepLag(one, schema);
  if (expired === 0) return ok("no expired record is left");
  const found = `${count(expired, "expired record")} left, the oldest for ${formatDuration(lagMs)}`;
  if (lagMs <= MAX_LAG_MS) return ok(found);
  return warn(
    found,
    "run: oncekey sweep; then see why no server does (sweep: false, or none runs)",
  );
};

function records(schema: string): string {
  return `"${schema}".records`;
}

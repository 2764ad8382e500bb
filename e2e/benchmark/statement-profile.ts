/** Statements of a run as `pg_stat_statements` counts them. */
import type pg from "pg";

interface StatementRow {
  readonly query: string;
  readonly calls: number;
  readonly planUs: number;
  readonly executeUs: number;
  readonly walBytes: number;
}

const READ = `
select query, calls::float8, total_plan_time * 1000 as "planUs", total_exec_time * 1000 as "executeUs",
  wal_bytes::float8 as "walBytes"
from pg_stat_statements join pg_database on dbid = oid
where datname = current_database() and query not like '%pg_stat_statements%'
order by total_plan_time + total_exec_time desc`;

const TEXT_LENGTH = 90;

/** Returns rows of a table: figures of one request. Time for parsing and for the protocol is not among them. */
export async function readStatements(pool: pg.Pool, requests: number): Promise<string[][]> {
  const { rows } = await pool.query<StatementRow>(READ);
  const each = (total: number, digits = 1): string => (total / requests).toFixed(digits);
  return [
    ["statement", "calls", "plan µs", "execute µs", "WAL bytes"],
    ["-", "-", "-", "-", "-"],
    ...rows.map(({ query, calls, planUs, executeUs, walBytes }) => [
      `\`${query.replaceAll(/\s+/g, " ").replaceAll("|", "\\|").trim().slice(0, TEXT_LENGTH)}\``,
      each(calls, 2),
      each(planUs),
      each(executeUs),
      each(walBytes, 0),
    ]),
  ];
}

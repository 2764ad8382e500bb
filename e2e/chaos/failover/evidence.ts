/** Evidence from the database, in the checker's types. */
import { Client } from "pg";
import type { Effect, RecordRow } from "../checker/case.ts";
import type { Leftovers } from "../checker/settling.ts";

/** No constraint but a primary key that each run of a handler makes: a second effect of a key must not fail, it must be seen. */
export const EFFECTS = `
create table effects (
  id text primary key,
  operation text not null,
  scope text not null,
  key text not null,
  target text not null,
  fingerprint text not null,
  made_at timestamptz not null default statement_timestamp()
)`;

const READ_EFFECTS = `
select 'effect' as kind, id, operation, scope, key, target, fingerprint, null as downstream,
       (extract(epoch from made_at) * 1000)::float8 as "wallAt"
  from effects where scope = $1`;

const READ_RECORDS = `
select 'record' as kind, scope, key, target, status, convert_from(body, 'UTF8') as body
  from oncekey.records where scope = $1`;

const READ_LEFTOVERS = `
select (select count(*) from pg_locks where locktype = 'advisory')::int as "advisory locks",
       (select count(*) from pg_stat_activity where state like 'idle in transaction%')::int as "open transactions"`;

export interface Dump {
  readonly rows: readonly (Effect | RecordRow)[];
  readonly leftovers: readonly Leftovers[];
}

/** Reads all rows of a scope from the leader, while no server works on it. */
export async function dump(databaseUrl: string, scope: string): Promise<Dump> {
  const client = new Client(databaseUrl);
  await client.connect();
  try {
    const effects = await client.query<Effect>(READ_EFFECTS, [scope]);
    const records = await client.query<RecordRow>(READ_RECORDS, [scope]);
    const left = await client.query<Record<string, number>>(READ_LEFTOVERS);
    return {
      rows: [...effects.rows, ...records.rows],
      leftovers: left.rows.map((found) => ({ where: "the leader", found })),
    };
  } finally {
    await client.end();
  }
}

/** The migrations as text, for people who run another tool. */
import { readdir, readFile } from "node:fs/promises";

export interface MigrationScript {
  /** File name of the migration, as it is recorded in the table of migrations. */
  readonly name: string;
  readonly sql: string;
}

/**
 * For which kind of database. `distributed`: Citus. There `scope` has the database's own collation, because only tables whose
 * distribution columns have the same type and collation are co-located, and only co-located are record and effect one commit.
 */
export type MigrationForm = "one-node" | "distributed";

// Published beside the build, so that sources and build read the one copy.
const FOLDER = new URL("../../src/migrations/", import.meta.url);
const RECORDS = "create table {{schema}}.records";
const SCOPE = 'scope text collate "C"';

export async function migrationNames(): Promise<string[]> {
  return (await readdir(FOLDER)).filter((name) => name.endsWith(".sql")).toSorted();
}

/** Every migration in order. Each notes itself as done, so that `oncekey migrate` and `oncekey doctor` know of it. */
export async function migrationScripts(
  schema: string,
  form: MigrationForm,
): Promise<MigrationScript[]> {
  const names = await migrationNames();
  return Promise.all(
    names.map(async (name, index) => {
      const text = await readFile(new URL(name, FOLDER), "utf8");
      const parts = [
        index === 0 ? opening() : undefined,
        form === "distributed" ? distributed(text) : text,
        `insert into {{schema}}.migrations (name) values ('${name}');`,
      ];
      const sql = parts.filter((part) => part !== undefined).join("\n");
      return { name, sql: sql.replaceAll("{{schema}}", `"${schema}"`) };
    }),
  );
}

function opening(): string {
  return `create schema if not exists {{schema}};
create table {{schema}}.migrations (
  name text primary key,
  applied_at timestamptz not null default statement_timestamp()
);
`;
}

function distributed(text: string): string {
  if (!text.includes(RECORDS)) return text;
  if (!text.includes(SCOPE)) throw new Error(`the migration does not say ${SCOPE}`);
  return `${text.replace(SCOPE, "scope text")}
-- After this, create the handler's tables with a text column of the same collation, and distribute them by it.
select create_distributed_table('{{schema}}.records', 'scope');
`;
}

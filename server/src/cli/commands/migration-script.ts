/** The migrations as text, for other migration tools. */
import {
  inSchema,
  MIGRATIONS_TABLE,
  migrationNames,
  PARTITIONED_SCRIPT,
  readMigration,
  readPartitionedScript,
} from "../../store/sql/migration-files.ts";

export interface MigrationScript {
  /** File name of the migration, as it is recorded in the table of migrations. */
  readonly name: string;
  readonly sql: string;
}

/**
 * For which kind of database. `distributed`: Citus. There `scope` has the database's own collation, because only tables whose
 * distribution columns have the same type and collation are co-located, and only co-located are record and effect one commit. `partitioned`: by the day of UUIDv7 keys.
 */
export type MigrationForm = "one-node" | "distributed" | "partitioned";

const RECORDS = "create table {{schema}}.records";
const OPENING = `create schema if not exists {{schema}};\n${MIGRATIONS_TABLE}`;
const SCOPE = 'scope text collate "C"';

/** Every migration in order. Each notes itself as done, so that `oncekey migrate` and `oncekey doctor` know of it. */
export async function migrationScripts(
  schema: string,
  form: MigrationForm,
): Promise<MigrationScript[]> {
  const names = await migrationNames();
  const scripts = await Promise.all(
    names.map(async (name, index) => {
      const text = await readMigration(name);
      const parts = [
        index === 0 ? OPENING : undefined,
        form === "distributed" ? distributed(text) : text,
        `insert into {{schema}}.migrations (name) values ('${name}');`,
      ];
      const sql = parts.filter((part) => part !== undefined).join("\n");
      return { name, sql: inSchema(sql, schema) };
    }),
  );
  if (form !== "partitioned") return scripts;
  const sql = inSchema(await readPartitionedScript(), schema);
  return [...scripts, { name: PARTITIONED_SCRIPT, sql }];
}

function distributed(text: string): string {
  if (!text.includes(RECORDS)) return text;
  if (!text.includes(SCOPE)) throw new Error(`the migration lacks ${SCOPE}`);
  return `${text.replaceAll(SCOPE, "scope text")}
-- After this, create the handler's tables with a text column of the same collation, and distribute them by it.
select create_distributed_table('{{schema}}.records', 'scope');
select create_distributed_table('{{schema}}.decisions', 'scope');
`;
}

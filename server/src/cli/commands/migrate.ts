/** `oncekey migrate`: creates or updates the tables. */
import { migrate } from "../../store/sql/migrate.ts";
import { databaseCommand, withPool } from "../io/database.ts";
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { printLine } from "../io/print.ts";

export function migrateCommand(): CommandUnknownOpts {
  return databaseCommand("migrate")
    .description("create or update the tables; does nothing where they are up to date")
    .option(
      "--partitioned",
      "new tables get partitions by the day of UUIDv7 keys, so that expiry is a DROP",
    )
    .action(({ partitioned = false, ...options }) =>
      withPool(options, async ({ pool, schema }) => {
        const applied = await migrate(pool, { schema, partitioned });
        for (const name of applied) printLine(`applied ${name}`);
        if (applied.length === 0) printLine(`schema "${schema}" is up to date`);
      }),
    );
}

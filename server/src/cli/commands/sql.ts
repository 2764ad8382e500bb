/** `oncekey sql`: prints the migrations. */
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { schemaCommand } from "../io/database.ts";
import { migrationScripts } from "./migration-script.ts";
import type { MigrationForm } from "./migration-script.ts";
import { UsageError } from "../io/exit-code.ts";
import { printJson, printLine } from "../io/print.ts";

export function sqlCommand(): CommandUnknownOpts {
  return schemaCommand("sql")
    .description("print the migrations, to paste into another migration tool; asks no database")
    .option("--distributed", "the form for Citus: the records are distributed by scope")
    .option(
      "--partitioned",
      "with the script for partitions by the day of UUIDv7 keys, as the last",
    )
    .option("--json", "a list of { name, sql } instead of one script")
    .action(async ({ schema, distributed, partitioned, json }) => {
      if (distributed && partitioned)
        throw new UsageError("--distributed and --partitioned exclude each other");
      const scripts = await migrationScripts(schema, formOf(distributed, partitioned));
      if (json) return printJson(scripts);
      printLine("-- Run each migration once, in this order, in a transaction of its own.");
      for (const { name, sql } of scripts) printLine(`\n-- ${name}\n${sql}`);
      return undefined;
    });
}

function formOf(distributed: true | undefined, partitioned: true | undefined): MigrationForm {
  if (distributed) return "distributed";
  return partitioned ? "partitioned" : "one-node";
}

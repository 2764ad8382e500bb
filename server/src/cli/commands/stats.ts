/** `oncekey stats`: counts the records of a database. */
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { readStats } from "../../store/maintenance/records.ts";
import type { TableStats } from "../../store/maintenance/records.ts";
import { databaseCommand, withPool } from "../io/database.ts";
import { formatBytes, formatDuration, printJson, printLine } from "../io/print.ts";

export function statsCommand(): CommandUnknownOpts {
  return databaseCommand("stats")
    .description("count the records by what they are; reads the whole table")
    .option("--json", "one object; durations in milliseconds, sizes in bytes")
    .action(({ json, ...options }) =>
      withPool(options, async ({ pool, schema }) => {
        const stats = await readStats(pool, schema);
        if (json) printJson(stats);
        else for (const line of describe(stats)) printLine(line);
      }),
    );
}

function describe(stats: TableStats): string[] {
  const number = (value: number): string => value.toLocaleString("en-US");
  const lag = stats.expired === 0 ? "" : `, the oldest for ${formatDuration(stats.lagMs)}`;
  const lines: [name: string, value: string][] = [
    ["records", number(stats.records)],
    ["finished", `${number(stats.finished)}, ${number(stats.withoutBody)} of them without a body`],
    ["tombstones", number(stats.tombstones)],
    ["running", number(stats.running)],
    ["crashed", number(stats.crashed)],
    ["failed", number(stats.failed)],
    ["expired", `${number(stats.expired)} to sweep${lag}`],
    ["oldest", stats.oldestCreatedAt ?? "none"],
    ["size", formatBytes(stats.sizeBytes)],
  ];
  return lines.map(([name, value]) => `${name.padEnd(12)}${value}`);
}

/** Defines the command line: commands, options and exit codes. */
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "@commander-js/extra-typings";
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { doctorCommand } from "./commands/doctor.ts";
import { DatabaseFailure, EXIT, UsageError } from "./io/exit-code.ts";
import { forgetCommand } from "./commands/forget.ts";
import { inspectCommand } from "./commands/inspect.ts";
import { listCommand } from "./commands/list.ts";
import { migrateCommand } from "./commands/migrate.ts";
import { tell } from "./io/print.ts";
import { recoverCommand } from "./commands/recover.ts";
import { resolveCommand } from "./commands/resolve.ts";
import { sqlCommand } from "./commands/sql.ts";
import { statsCommand } from "./commands/stats.ts";
import { sweepCommand } from "./commands/sweep.ts";
import { uiCommand } from "./commands/ui.ts";

const EXIT_CODES = `
Exit codes: 0 done · 1 something is wrong (a failed check, no such record, not deleted, crashed keys left) · 2 bad usage ·
3 the database could not be asked`;

const COMMANDS = [
  migrateCommand,
  sqlCommand,
  doctorCommand,
  inspectCommand,
  listCommand,
  resolveCommand,
  recoverCommand,
  forgetCommand,
  sweepCommand,
  statsCommand,
  uiCommand,
];

function createProgram(): CommandUnknownOpts {
  const program = new Command("oncekey")
    .description("looks after the tables of @oncekey/server")
    .version(version())
    .addHelpText("after", EXIT_CODES);
  for (const create of COMMANDS) program.addCommand(create());
  for (const command of [program, ...program.commands]) {
    command.exitOverride().showHelpAfterError("(see --help)");
  }
  return program;
}

/** Runs one command line and returns its exit code. */
export async function run(args: readonly string[]): Promise<number> {
  try {
    await createProgram().parseAsync(args, { from: "user" });
    return Number(process.exitCode ?? EXIT.fine);
  } catch (error) {
    // Commander has printed the message; it also throws for --help and --version, with exit code 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.fine : EXIT.usage;
    if (error instanceof UsageError) return failed(error, EXIT.usage);
    if (error instanceof DatabaseFailure) return failed(error, EXIT.database);
    throw error;
  }
}

function failed(error: Error, code: number): number {
  tell(`error: ${error.message}`);
  return code;
}

function version(): string {
  // The same two levels up from the sources and from the build.
  const file = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(file) as { version: string }).version;
}

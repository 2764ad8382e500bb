/** `oncekey forget`: deletes records by key, after a confirmation. */
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { createInterface } from "node:readline";
import { findRecords, forgetRecord } from "../../store/maintenance/records.ts";
import type { ForgetOutcome, TableRecord } from "../../store/maintenance/records.ts";
import { openStoreParts } from "../../store/store-parts.ts";
import type { StoreParts } from "../../store/store-parts.ts";
import { withPool } from "../io/database.ts";
import { EXIT, UsageError } from "../io/exit-code.ts";
import { count, printable, printLine, tell } from "../io/print.ts";
import { noRecord, recordCommand, summarise } from "./record-command.ts";

export function forgetCommand(): CommandUnknownOpts {
  return recordCommand("forget")
    .description("delete the records of a key, so that a retry runs again; asks first")
    .option("--yes", "do not ask")
    .action((key, { yes, ...options }) =>
      withPool(options, async ({ pool, schema }) => {
        const address = { key, scope: options.scope, target: options.target };
        const found = await findRecords(pool, schema, address);
        if (found.length === 0) return refuse(noRecord(address));
        for (const record of found) printLine(summarise(record));
        if (!yes && !(await isConfirmed(found.length))) return refuse("nothing was deleted");
        return forgetAll(await openStoreParts(pool, schema), found);
      }),
    );
}

const MEMORY =
  "A server that answered this key lately may replay it from its memory for a minute more.";

async function forgetAll(parts: StoreParts, records: readonly TableRecord[]): Promise<void> {
  let isForgotten = false;
  for (const record of records) {
    const outcome = await forgetRecord(parts, record);
    if (outcome === "forgotten") isForgotten = true;
    else process.exitCode = EXIT.wrong;
    printLine(`${printable(record.target)}: ${explain(outcome)}`);
  }
  // This process reaches the table, not the replay caches of the servers.
  if (isForgotten) tell(MEMORY);
}

function explain(outcome: ForgetOutcome): string {
  switch (outcome) {
    case "forgotten":
      return "deleted";
    case "changed":
      return "kept, because it has changed since it was looked at";
    case "held":
      return "kept, because a handler is at work on it";
    default:
      return outcome satisfies never;
  }
}

function refuse(message: string): void {
  tell(message);
  process.exitCode = EXIT.wrong;
}

async function isConfirmed(records: number): Promise<boolean> {
  if (!process.stdin.isTTY) {
    throw new UsageError(
      "standard input is no terminal, so the question cannot be answered; --yes deletes without asking",
    );
  }
  const answer = await ask(
    `Delete ${count(records, "record")}? A retry of this key then runs again. [y/N] `,
  );
  return /^y(es)?$/i.test(answer.trim());
}

// Ctrl-C and Ctrl-D close the question unanswered, which is a no.
function ask(question: string): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  return new Promise((resolve) => {
    terminal.once("close", () => resolve(""));
    terminal.question(question, (answer) => {
      resolve(answer);
      terminal.close();
    });
  });
}

/** `oncekey forget`: deletes records by key, after a confirmation. */
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { forgetRecord, forgetScope } from "../../store/maintenance/decisions.ts";
import type { DecisionOutcome, DecisionReason } from "../../store/maintenance/decisions.ts";
import { findRecords } from "../../store/maintenance/records.ts";
import type { TableRecord } from "../../store/maintenance/table-record.ts";
import { openStoreParts } from "../../store/store-parts.ts";
import type { StoreParts } from "../../store/store-parts.ts";
import { isConfirmed } from "../io/confirm.ts";
import { databaseCommand, withPool } from "../io/database.ts";
import { EXIT, UsageError } from "../io/exit-code.ts";
import { count, printable, printJson, printLine, tell } from "../io/print.ts";
import { decisionOptions, KEY, noRecord, parseKeyArgument, summarise } from "./record-command.ts";

export function forgetCommand(): CommandUnknownOpts {
  const command = databaseCommand("forget")
    .argument("[key]", KEY, parseKeyArgument)
    .requiredOption("--scope <scope>", "whose key it is: what the scope option returned")
    .option("--target <target>", "method and path, such as 'POST /payments'; default: all");
  return decisionOptions(command)
    .description(
      "delete the records of a key, so that a retry runs again, or without a key all of a scope; asks first",
    )
    .option("--yes", "do not ask")
    .option("--json", "one object: { forgotten, held }")
    .action((key, { yes, json, by, reason, ...options }) =>
      withPool(options, async ({ pool, schema }) => {
        const decision = { by, reason };
        const { scope, target } = options;
        if (key === undefined) {
          if (target !== undefined) throw new UsageError("--target is for the records of a key");
          if (!yes && !(await isConfirmed(question(`all records of scope ${printable(scope)}`))))
            return refuse("nothing was deleted");
          const total = await forgetScope(await openStoreParts(pool, schema), scope, decision);
          return report(total, json ?? false);
        }
        const address = { key, scope, target };
        const found = await findRecords(pool, schema, address);
        if (found.length === 0) return refuse(noRecord(address));
        if (!json) for (const record of found) printLine(summarise(record));
        if (!yes && !(await isConfirmed(question(count(found.length, "record")))))
          return refuse("nothing was deleted");
        return forgetAll(await openStoreParts(pool, schema), found, decision, json ?? false);
      }),
    );
}

function question(records: string): string {
  return `Delete ${records}? A retry then runs again.`;
}

function report(total: { readonly forgotten: number; readonly held: number }, json: boolean): void {
  if (json) printJson(total);
  else printLine(`deleted ${count(total.forgotten, "record")}`);
  if (total.held > 0) refuse(`kept ${count(total.held, "record")}: handlers are at work on them`);
  if (total.forgotten > 0) tell(MEMORY);
}

const MEMORY =
  "A server that answered this key lately may replay it from its memory for a minute more.";

async function forgetAll(
  parts: StoreParts,
  records: readonly TableRecord[],
  decision: DecisionReason,
  json: boolean,
): Promise<void> {
  let forgotten = 0;
  for (const record of records) {
    const outcome = await forgetRecord(parts, record, decision);
    if (outcome === "done") forgotten += 1;
    else process.exitCode = EXIT.wrong;
    if (!json) printLine(`${printable(record.target)}: ${explain(outcome)}`);
  }
  if (json) printJson({ forgotten, held: records.length - forgotten });
  // This process reaches the table, not the replay caches of the servers.
  if (forgotten > 0) tell(MEMORY);
}

function explain(outcome: DecisionOutcome): string {
  switch (outcome) {
    case "done":
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

/** `oncekey list`: lists records, or the decisions about them, a page at a time. */
import { InvalidArgumentError } from "@commander-js/extra-typings";
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { listDecisions } from "../../store/maintenance/decisions.ts";
import type { Decision } from "../../store/maintenance/decisions.ts";
import { listRecords } from "../../store/maintenance/list.ts";
import type { ListQuery } from "../../store/maintenance/list.ts";
import type { TableRecord } from "../../store/maintenance/table-record.ts";
import { namedPattern } from "../../ticket/target.ts";
import { databaseCommand, withPool } from "../io/database.ts";
import { EXIT, UsageError } from "../io/exit-code.ts";
import { printable, printJson, printLine, tell } from "../io/print.ts";
import { summarise } from "./record-command.ts";

const STATES = ["running", "crashed", "failed", "finished", "tombstone"] as const;

export function listCommand(): CommandUnknownOpts {
  return databaseCommand("list")
    .description("list records by state, the oldest unfinished ones first; reads only")
    .option("--state <state>", STATES.join(", "), parseState)
    .option("--scope <scope>", "only records of this scope")
    .option("--route <route>", "only records of this route, such as 'POST /payments/:id'")
    .option(
      "--older-than <duration>",
      "only records written before: 90s, 15m, 2h, 7d",
      parseDuration,
    )
    .option("--limit <number>", "the most records of a page, 1 to 1000", parseLimit, 100)
    .option("--cursor <cursor>", "the cursor that the page before printed")
    .option("--decisions", "list the audit in place of the records, the newest first")
    .option("--fail-if-any", "exit with 1 if the list is not empty: for cron and CI")
    .option("--json", "one object: { records, cursor } or { decisions, cursor }")
    .action(({ json, decisions, failIfAny, ...options }) =>
      withPool(options, async ({ pool, schema }) => {
        const query: ListQuery = options;
        const page = decisions
          ? await asUsage(() => listDecisions(pool, schema, query))
          : await asUsage(async () => listRecords(pool, schema, query, patternOf(query.route)));
        const listed = "records" in page ? page.records : page.decisions;
        if (json) printJson(page);
        else {
          for (const one of listed)
            printLine("createdAt" in one ? describe(one) : describeDecision(one));
          if (listed.length === 0) tell("nothing to list");
          if (page.cursor !== undefined) tell(`more: --cursor ${page.cursor}`);
        }
        if (failIfAny && listed.length > 0) process.exitCode = EXIT.wrong;
      }),
    );
}

export function patternOf(route: string | undefined): string | undefined {
  try {
    return route === undefined ? undefined : namedPattern(route);
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** A wrong cursor or route is a fault of the command line. */
async function asUsage<Result>(read: () => Promise<Result>): Promise<Result> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(error.message);
    throw error;
  }
}

function describe(record: TableRecord): string {
  return `${record.key}  ${printable(record.scope)}  ${summarise(record)}`;
}

function describeDecision({
  at,
  action,
  key,
  scope,
  target,
  by,
  reason,
  records,
}: Decision): string {
  const what = key === null ? `${records} records` : `${key} ${printable(target ?? "")}`;
  return `${at}  ${action}  ${what} of ${printable(scope)} by ${printable(by)}: ${printable(reason)}`;
}

function parseState(value: string): (typeof STATES)[number] {
  const state = STATES.find((known) => known === value);
  if (state === undefined) throw new InvalidArgumentError(`It must be one of ${STATES.join(", ")}`);
  return state;
}

const UNITS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

export function parseDuration(value: string): number {
  const [, number, unit = ""] = /^(\d{1,6})([smhd])$/.exec(value) ?? [];
  const unitMs = UNITS[unit];
  if (number === undefined || unitMs === undefined)
    throw new InvalidArgumentError("It must be a number with s, m, h or d, such as 15m");
  return Number(number) * unitMs;
}

function parseLimit(value: string): number {
  const limit = Number(value);
  if (Number.isInteger(limit) && limit >= 1 && limit <= 1_000) return limit;
  throw new InvalidArgumentError("It must be a whole number from 1 to 1000");
}

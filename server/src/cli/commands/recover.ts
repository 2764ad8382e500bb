/** `oncekey recover`: finishes crashed keys: by the application's `onCrash`, or all with one answer. Or only reports them. */
import { userInfo } from "node:os";
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { isKeyed } from "../../store/record-codec.ts";
import { resolveRecord } from "../../store/maintenance/decisions.ts";
import type { DecisionReason } from "../../store/maintenance/decisions.ts";
import { listRecords } from "../../store/maintenance/list.ts";
import type { RecordPage } from "../../store/maintenance/list.ts";
import type { TableRecord } from "../../store/maintenance/table-record.ts";
import { openStoreParts } from "../../store/store-parts.ts";
import { databaseCommand, databaseFailure, withPool } from "../io/database.ts";
import type { Database } from "../io/database.ts";
import { isConfirmed } from "../io/confirm.ts";
import { EXIT, UsageError } from "../io/exit-code.ts";
import { count, printable, printJson, printLine, tell } from "../io/print.ts";
import { answerOptions, parseStatus, STATUS, toAnswer } from "./answer.ts";
import type { AnswerOptions } from "./answer.ts";
import { parseDuration, patternOf } from "./list.ts";
import { loadApp } from "./load-app.ts";
import type { LoadedApp } from "./load-app.ts";
import { parseBy, parseReason, summarise } from "./record-command.ts";

/** The result, and the document of `--json`. */
interface Report {
  /** Keys that have an answer now. */
  readonly resolved: number;
  /** Crashed keys that are left. */
  readonly left: number;
  /** The oldest of them, at most 100. */
  readonly records: readonly TableRecord[];
}

interface Filters {
  readonly scope?: string | undefined;
  readonly route?: string | undefined;
  readonly olderThan?: number | undefined;
}

// A page of crashed records.
const PAGE = 100;

export function recoverCommand(): CommandUnknownOpts {
  return answerOptions(databaseCommand("recover"))
    .description(
      "finish crashed keys: --app asks the onCrash of your routes, --status stores one answer for all; with neither it reports them",
    )
    .option("--app <file>", "a module that exports the Fastify application, or makes it")
    .option(
      "--status <status>",
      `${STATUS}, for every crashed key that the filters name`,
      parseStatus,
    )
    .option("--scope <scope>", "only keys of this scope")
    .option("--route <route>", "only keys of this route, such as 'POST /payments/:id'")
    .option("--older-than <duration>", "only keys begun before: 90s, 15m, 2h, 7d", parseDuration)
    .option("--reason <text>", "why, for the audit; required with --status", parseReason)
    .option("--by <name>", "who decides, for the audit", parseBy, userInfo().username)
    .option("--yes", "do not ask before --status")
    .option("--json", "one object: { resolved, left, records }")
    .action(async ({ json, app, status, scope, route, olderThan, by, reason, yes, ...options }) => {
      const filters: Filters = { scope, route, olderThan };
      if (app !== undefined) {
        if ([status, reason, scope, route, olderThan].some((one) => one !== undefined))
          throw new UsageError(
            "--app asks the onCrash of each route: it takes no --status, no --reason and no filter",
          );
        return report(await recoverByApp(app, options.schema), json ?? false);
      }
      return withPool(options, async (database) => {
        if (status === undefined)
          return report(await reportCrashed(database, filters), json ?? false);
        if (reason === undefined) throw new UsageError("--status requires --reason, for the audit");
        const before = await reportCrashed(database, filters);
        const question = `Store status ${status} for ${count(before.left, "crashed key")}?`;
        if (before.left > 0 && !yes && !(await isConfirmed(question))) {
          tell("nothing was resolved");
          return report(before, json ?? false);
        }
        const resolved = await resolveAll(database, filters, status, options, { by, reason });
        return report({ ...(await reportCrashed(database, filters)), resolved }, json ?? false);
      });
    });
}

function report({ resolved, left, records }: Report, json: boolean): void {
  if (json) printJson({ resolved, left, records });
  else {
    for (const record of records)
      printLine(`${record.key}  ${printable(record.scope)}  ${summarise(record)}`);
    if (left > records.length) printLine(`… and ${left - records.length} more`);
    printLine(`resolved ${count(resolved, "key")}, ${left} crashed left`);
  }
  if (left > 0) process.exitCode = EXIT.wrong;
}

/** Asks `onCrash` pass by pass, until a pass finishes no key. */
async function recoverByApp(file: string, schema: string): Promise<Report> {
  const app = await loadApp(file);
  try {
    let resolved = 0;
    for (;;) {
      const pass = await app.idempotency.recover();
      resolved += pass.resolved;
      if (pass.resolved === 0) break;
    }
    return { ...(await collect((cursor) => listByApp(app, cursor))), resolved };
  } catch (error) {
    // Option pool may be a function, which has no pool for a command.
    if (error instanceof TypeError) throw new UsageError(error.message);
    throw databaseFailure(error, schema);
  } finally {
    await app.close();
  }
}

function listByApp({ idempotency }: LoadedApp, cursor: string | undefined) {
  return idempotency.list({ state: "crashed", cursor, limit: PAGE });
}

function reportCrashed(database: Database, filters: Filters): Promise<Report> {
  return collect((cursor) => listCrashed(database, filters, cursor));
}

/** Counts the records of all pages, and keeps those of the first. */
async function collect(read: (cursor: string | undefined) => Promise<RecordPage>): Promise<Report> {
  const { records, cursor } = await read(undefined);
  let left = records.length;
  for (let next = cursor; next !== undefined;) {
    const page = await read(next);
    left += page.records.length;
    next = page.cursor;
  }
  return { resolved: 0, left, records };
}

function listCrashed(
  { pool, schema }: Database,
  { scope, route, olderThan }: Filters,
  cursor: string | undefined,
): Promise<RecordPage> {
  const query = { state: "crashed", scope, olderThan, cursor, limit: PAGE } as const;
  return listRecords(pool, schema, query, patternOf(route));
}

/**
 * Stores one answer for each crashed record of the filters, the oldest first. Each decision is a transaction of its own with its
 * row of the audit. So a faster retry wins, and an interrupted command keeps what it has stored.
 */
async function resolveAll(
  database: Database,
  filters: Filters,
  status: number,
  answer: AnswerOptions,
  decision: DecisionReason,
): Promise<number> {
  const { response, retention } = await toAnswer(status, answer);
  const parts = await openStoreParts(database.pool, database.schema);
  let resolved = 0;
  let cursor: string | undefined;
  do {
    const page = await listCrashed(database, filters, cursor);
    for (const record of page.records) {
      // Its answer has to be sealed, and only the application has the key.
      if (isKeyed(Buffer.from(record.fingerprint, "hex"))) {
        tell(`kept ${record.key}: it is encrypted; resolve it in the application`);
        continue;
      }
      const outcome = await resolveRecord(parts, record, response, retention, decision);
      if (outcome === "done") resolved += 1;
    }
    cursor = page.cursor;
  } while (cursor !== undefined);
  return resolved;
}

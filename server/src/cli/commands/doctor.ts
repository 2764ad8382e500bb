/** `oncekey doctor`: checks a database and prints what to do. */
import { styleText } from "node:util";
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { databaseCommand, withPool } from "../io/database.ts";
import { examine } from "../doctor/run-checks.ts";
import type { Finding, Verdict } from "../doctor/finding.ts";
import { EXIT } from "../io/exit-code.ts";
import { printJson, printLine } from "../io/print.ts";

export function doctorCommand(): CommandUnknownOpts {
  return databaseCommand("doctor")
    .description("examine the database: what holds, what does not, and what to do; changes nothing")
    .option("--json", "a list of { check, verdict, found, advice }")
    .action(({ json, ...options }) =>
      withPool(options, async ({ pool, schema }) => {
        const findings = await examine(pool, schema);
        if (json) printJson(findings);
        else report(findings);
        if (findings.some(({ verdict }) => verdict === "fail")) process.exitCode = EXIT.wrong;
      }),
    );
}

const COLOURS = { ok: "green", warn: "yellow", fail: "red" } as const;

function report(findings: readonly Finding[]): void {
  const width = Math.max(...findings.map(({ check }) => check.length));
  for (const { check, verdict, found, advice } of findings) {
    // Only where it is a terminal that shows colours.
    const mark = styleText(COLOURS[verdict], verdict.padEnd(4), { stream: process.stdout });
    printLine(
      `${mark}  ${check.padEnd(width)}  ${found}${advice === undefined ? "" : `; ${advice}`}`,
    );
  }
  const number = (wanted: Verdict): number =>
    findings.filter(({ verdict }) => verdict === wanted).length;
  printLine(`\n${number("ok")} ok, ${number("warn")} to consider, ${number("fail")} failed`);
}

/** `test:faults`: tries to break the promise by real means, judges what happened, and writes the page about it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Effect, RecordRow } from "./checker/case.ts";
import { judge } from "./checker/judge.ts";
import { formatVerdict } from "./checker/verdict.ts";
import type { HistoryEvent } from "./history/event.ts";
import { readLines } from "./history/history.ts";
import { keepHistory } from "./history/keep.ts";
import { huntMutants } from "./mutants/mutation-run.ts";
import { writePage } from "./page.ts";
import { formatReport } from "./report.ts";
import { policyOf } from "./rig/routes.ts";
import { run } from "./rig/run.ts";
import { readSettings, USAGE } from "./settings.ts";
import type { Plan } from "./settings.ts";

/** Exit codes: a promise was broken; none was, but not all that was planned has been tried. */
const BROKEN = 1;
const INCOMPLETE = 2;

const interrupted = new AbortController();
process.once("SIGINT", () => {
  console.log("interrupted: judging what has happened; once more ends at once");
  interrupted.abort();
});

try {
  const { command, plan, file, mutant } = readSettings(process.argv.slice(2));
  switch (command) {
    case "run":
      process.exitCode = await runAndReport(plan);
      break;
    case "failover":
      process.exitCode = await runFailover();
      break;
    case "judge":
      process.exitCode = await judgeAgain(file ?? "");
      break;
    case "mutants":
      process.exitCode = (await huntMutants(mutant, interrupted.signal)) === 0 ? 0 : BROKEN;
      break;
    default:
      command satisfies never;
  }
} catch (error) {
  if (!(error instanceof TypeError) && !(error instanceof RangeError)) throw error;
  console.error(`${error.message}\n\n${USAGE}`);
  process.exitCode = BROKEN;
}

async function runAndReport(plan: Plan): Promise<number> {
  const report = await run({ ...plan, signal: interrupted.signal, onProgress: console.log });
  const { verdict, seed, end, undealt } = report;
  console.log(formatVerdict(verdict));
  await writePage("faults.md", formatReport(report));
  if (verdict.violations.length > 0) {
    await keepHistory(report);
    console.log(`the same plan again: --seed ${seed}`);
    return BROKEN;
  }
  return end === "whole" && undealt === 0 ? 0 : INCOMPLETE;
}

/** A run of its own, with a page of its own: it gets its Ctrl-C from the terminal as this process does. */
async function runFailover(): Promise<number> {
  const file = fileURLToPath(new URL("failover/run.ts", import.meta.url));
  const child = spawn(process.execPath, [...process.execArgv, file], { stdio: "inherit" });
  const [code] = (await once(child, "exit")) as [number | null];
  return code ?? BROKEN;
}

async function judgeAgain(file: string): Promise<number> {
  const lines = await readLines<HistoryEvent | Effect | RecordRow>(file);
  const isRow = (line: (typeof lines)[number]): line is Effect | RecordRow =>
    line.kind === "effect" || line.kind === "record";
  const verdict = judge({
    events: lines.filter((line) => !isRow(line)),
    rows: lines.filter(isRow),
    leftovers: [],
    policyOf,
    raced: [],
    isComplete: false,
  });
  console.log(formatVerdict(verdict));
  return verdict.violations.length > 0 ? BROKEN : 0;
}

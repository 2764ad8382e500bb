/** `test:faults`: tries to break the promise by real means, judges what happened, and writes the page about it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Effect, RecordRow } from "./checker/case.ts";
import { judge } from "./checker/judge.ts";
import { formatVerdict } from "./checker/verdict.ts";
import type { HistoryEvent } from "./history/event.ts";
import { readLines } from "./history/history.ts";
import { keepHistory } from "./history/keep.ts";
import { INCOMPLETE, listenForEnd } from "./interruption.ts";
import { huntMutants } from "./mutants/mutation-run.ts";
import { writePage } from "./page.ts";
import { formatReport } from "./report.ts";
import { policyOf } from "./rig/routes.ts";
import { run } from "./rig/run.ts";
import { readSettings, USAGE } from "./settings.ts";
import type { Plan } from "./settings.ts";

/** Exit code: a promise was broken. */
const BROKEN = 1;

const interrupted = listenForEnd();

try {
  const { command, plan, pages, file, mutant } = readSettings(process.argv.slice(2));
  switch (command) {
    case "run":
      process.exitCode = await runAndReport(plan, pages);
      break;
    case "failover":
      process.exitCode = await runFailover();
      break;
    case "judge":
      process.exitCode = await judgeAgain(file ?? "");
      break;
    case "mutants":
      process.exitCode = await hunt(mutant, pages);
      break;
    default:
      command satisfies never;
  }
} catch (error) {
  if (!(error instanceof TypeError) && !(error instanceof RangeError)) throw error;
  console.error(`${error.message}\n\n${USAGE}`);
  process.exitCode = BROKEN;
}

async function runAndReport(plan: Plan, pages: string): Promise<number> {
  const report = await run({ ...plan, signal: interrupted, onProgress: console.log });
  const { verdict, seed, end, undealt } = report;
  console.log(formatVerdict(verdict));
  await writePage(join(pages, "faults.md"), formatReport(report));
  if (verdict.violations.length > 0) {
    await keepHistory(report);
    console.log(`the same plan again: --seed ${seed}`);
    return BROKEN;
  }
  return end === "whole" && undealt === 0 ? 0 : INCOMPLETE;
}

async function hunt(mutant: string | undefined, pages: string): Promise<number> {
  if ((await huntMutants(mutant, pages, interrupted)) > 0) return BROKEN;
  return interrupted.aborted ? INCOMPLETE : 0;
}

/** A run of its own, with a page of its own: it gets its Ctrl-C from the terminal as this process does, and all else from here. */
async function runFailover(): Promise<number> {
  const file = fileURLToPath(new URL("failover/run.ts", import.meta.url));
  const child = spawn(process.execPath, [...process.execArgv, file], { stdio: "inherit" });
  interrupted.addEventListener("abort", () => child.kill("SIGTERM"));
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

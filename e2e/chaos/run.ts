/** `test:faults`: tries to break the promise by real means, judges what happened, and writes the page about it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { formatVerdict } from "./checker/verdict.ts";
import { keepHistory, readHistory } from "./one-run/keep.ts";
import { INCOMPLETE, listenForEnd } from "./interruption.ts";
import { countWrong, formatPlanted, huntedNone, isWhole } from "./mutants/hunted.ts";
import type { Hunted } from "./mutants/hunted.ts";
import { isQuick } from "./mutants/hunts.ts";
import { huntMutants } from "./mutants/mutation-run.ts";
import { MUTANTS } from "./mutants/mutants.ts";
import type { HuntName, Mutant } from "./mutants/mutant.ts";
import { describeCommit, writePage } from "@oncekey/test-support/reporting/page";
import { findShort } from "./reached.ts";
import { formatReport } from "./report.ts";
import { judgeRun } from "./one-run/judge-run.ts";
import type { RunEvidence } from "./one-run/judge-run.ts";
import { createRandomFor } from "./protocol/random.ts";
import { run } from "./one-run/run.ts";
import { MINUTE_MS, readSettings, USAGE } from "./one-run/settings.ts";
import type { Plan, Settings } from "./one-run/settings.ts";

/** Exit code: a promise was broken, or the command could not do its work. */
const BROKEN = 1;
/**
 * Exit code: so few planned faults happened without an interruption that the rig or the machine is
 * not fit for it.
 */
const TOO_LITTLE = 1;
/**
 * Time limit of the quick planted bugs after the load's own limit: at most twelve minutes in all by
 * default.
 */
const HUNTS_MS = 3 * MINUTE_MS;

/** A part of a run hunts that part of so many bugs: each takes about ten seconds. */
const MOST_HUNTS = 20;

const interrupted = listenForEnd();
const commit = describeCommit();

const settings = readWords();
if (settings !== undefined) process.exitCode = await perform(settings);

/** Undefined: the arguments are wrong, and the error was printed. */
function readWords(): Settings | undefined {
  try {
    const { mutant, ...read } = readSettings(process.argv.slice(2));
    if (mutant === undefined || MUTANTS.some(({ name }) => name === mutant))
      return { ...read, mutant };
    const names = MUTANTS.map(({ name }) => name);
    throw new RangeError(`--mutant must be one of ${names.join(", ")}`);
  } catch (error) {
    if (!(error instanceof TypeError) && !(error instanceof RangeError)) throw error;
    console.error(`${error.message}\n\n${USAGE}`);
    process.exitCode = BROKEN;
    return undefined;
  }
}

async function perform(asked: Settings): Promise<number> {
  const { command, plan, pages, file, mutant, rounds } = asked;
  switch (command) {
    case "help":
      console.log(USAGE);
      return 0;
    case "run":
      return runAndReport(plan, pages);
    case "failover":
      return runFailover(["--rounds", String(rounds), "--pages", pages]);
    case "judge":
      return judgeAgain(file ?? "");
    case "mutants":
      return hunt(mutant, pages);
    default:
      return command satisfies never;
  }
}

async function runAndReport(plan: Plan, pages: string): Promise<number> {
  const enough = AbortSignal.any([
    interrupted,
    AbortSignal.timeout(Math.round(plan.limitMs) + HUNTS_MS),
  ]);
  const report = await run({ ...plan, signal: interrupted, onProgress: console.log });
  const { verdict, seed, end, undealt, isPooled } = report;
  console.log(formatVerdict(verdict));
  if (verdict.violations.length > 0) {
    await keepHistory(report);
    console.log(
      `the same plan again: test:faults --seed ${seed} --share ${plan.share}${plan.partitioned ? " --partitioned" : ""} --operations ${plan.operations} --minutes ${plan.limitMs / MINUTE_MS}`,
    );
  }
  const { mutants, controls } = chooseHunts(plan);
  const write = (found: Hunted): Promise<void> =>
    writePage(join(pages, fileOf(plan)), formatReport(report, found, commit));
  // Written before the hunts too: the load's results are reported even if a hunt fails.
  await write(huntedNone(mutants, controls));
  // The same rig has to notice what is planted: else its verdict is worth nothing.
  const hunted = await huntMutants(mutants, enough, controls);
  await write(hunted);
  if (verdict.violations.length > 0 || countWrong(hunted) > 0) return BROKEN;
  const tooShort = interrupted.aborted ? [] : findShort(report, plan);
  if (tooShort.length > 0) {
    console.error(`TOO LITTLE CAME ABOUT to say anything: ${tooShort.join(", ")}`);
    return TOO_LITTLE;
  }
  return end === "whole" && undealt === 0 && isPooled && isWhole(hunted) ? 0 : INCOMPLETE;
}

/** A run on partitions has a page of its own. */
function fileOf({ partitioned }: Plan): string {
  return partitioned ? "faults-partitioned.md" : "faults.md";
}

/** Selects the quick hunts of a run. A part of it hunts a part of the bugs, by the seed, and nothing where no bug is planted. */
function chooseHunts({ seed, share }: Plan): Hunts {
  const quick = MUTANTS.filter((mutant) => isQuick(mutant.hunt));
  if (share === 1) return { mutants: quick, controls: quick.map((mutant) => mutant.hunt) };
  const shuffled = createRandomFor(seed, "hunts").shuffled(quick);
  return { mutants: shuffled.slice(0, Math.ceil(MOST_HUNTS * share)), controls: [] };
}

interface Hunts {
  readonly mutants: readonly Mutant[];
  readonly controls: readonly HuntName[];
}

/** @param only the name of one of them; undefined: all, and the page about them. */
async function hunt(only: string | undefined, pages: string): Promise<number> {
  const mutants = MUTANTS.filter(({ name }) => only === undefined || name === only);
  const hunted = await huntMutants(mutants, interrupted);
  if (only === undefined)
    await writePage(join(pages, "planted-bugs.md"), formatPlanted(hunted, commit));
  if (countWrong(hunted) > 0) return BROKEN;
  return isWhole(hunted) ? 0 : INCOMPLETE;
}

/** A run of its own, with a page of its own: it gets its Ctrl-C from the terminal as this process does, and all else from here. */
async function runFailover(words: readonly string[]): Promise<number> {
  const file = fileURLToPath(new URL("failover/run.ts", import.meta.url));
  const child = spawn(process.execPath, [...process.execArgv, file, ...words], {
    stdio: "inherit",
  });
  interrupted.addEventListener("abort", () => child.kill("SIGTERM"));
  const [code] = (await once(child, "exit")) as [number | null];
  return code ?? BROKEN;
}

async function judgeAgain(file: string): Promise<number> {
  let evidence: RunEvidence;
  try {
    evidence = await readHistory(file);
  } catch (error) {
    console.error(`${file} cannot be judged: ${String(error)}`);
    return BROKEN;
  }
  const verdict = judgeRun(evidence);
  console.log(formatVerdict(verdict));
  return verdict.violations.length > 0 ? BROKEN : 0;
}

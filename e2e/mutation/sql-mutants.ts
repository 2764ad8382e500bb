/** Plants one mutant of a statement at a time into a copy of the project, and runs the tests of its file. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ProjectCopy } from "../chaos/mutants/copy.ts";
import type { Lines } from "./changed-lines.ts";
import type { Measured } from "./code-mutants.ts";
import { isSampled } from "./sample.ts";
import { mutateSql } from "./sql-mutator.ts";
import type { Survivor } from "./result.ts";
import { TESTS_VARIABLE } from "./tests-variable.ts";

export interface SqlRun {
  readonly file: string;
  /** Default: the whole file. */
  readonly lines?: readonly Lines[];
  readonly tests: readonly string[];
  /** One mutant in this many is run. */
  readonly sample: number;
}

type Outcome = "passed" | "failed" | "timed out";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const CONFIG = fileURLToPath(new URL("vitest.config.ts", import.meta.url));
const TIMEOUT_MS = 60_000;
const TIMEOUT_FACTOR = 3;

/**
 * Runs every SQL mutant of a file.
 *
 * @throws Error with the output of the tests if they fail without a mutant.
 */
export async function runSqlMutants(
  copy: ProjectCopy,
  { file, lines, tests, sample: size }: SqlRun,
): Promise<Measured> {
  const path = join(copy.folder, file);
  const original = await readFile(path, "utf8");
  const all = mutateSql(original).filter(
    ({ line }) => lines === undefined || lines.some(([from, to]) => line >= from && line <= to),
  );
  const mutants = all.filter(({ line, mutator, replacement }) =>
    isSampled(size, file, String(line), mutator, replacement),
  );
  const part = size === 1 ? {} : { sample: { size, of: all.length } };
  if (mutants.length === 0) return { killed: 0, timedOut: 0, survivors: [], ...part };
  const began = Date.now();
  const first = await runTests(copy, tests);
  if (first.outcome !== "passed") throw new Error(`tests fail without a mutant:\n${first.output}`);
  const limitMs = TIMEOUT_MS + TIMEOUT_FACTOR * (Date.now() - began);
  let killed = 0;
  let timedOut = 0;
  const survivors: Survivor[] = [];
  for (const { source, ...mutant } of mutants) {
    await writeFile(path, source);
    const { outcome } = await runTests(copy, tests, limitMs);
    console.log(`${outcome}: line ${mutant.line}, ${mutant.mutator}, ${mutant.replacement}`);
    if (outcome === "failed") killed += 1;
    else if (outcome === "timed out") timedOut += 1;
    else survivors.push({ file, ...mutant, status: "survived" });
  }
  await writeFile(path, original);
  return { killed, timedOut, survivors, ...part };
}

async function runTests(
  { folder }: ProjectCopy,
  tests: readonly string[],
  limitMs = Infinity,
): Promise<{ readonly outcome: Outcome; readonly output: string }> {
  const vitest = join(ROOT, "node_modules/vitest/vitest.mjs");
  const child = spawn(
    process.execPath,
    [vitest, "run", "--config", CONFIG, "--bail", "1", "--maxWorkers", "1", "--reporter", "dot"],
    {
      cwd: folder,
      env: { ...process.env, [TESTS_VARIABLE]: tests.join(",") },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  let outcome: Outcome | undefined;
  const timer = Number.isFinite(limitMs)
    ? setTimeout(() => {
        outcome = "timed out";
        child.kill("SIGKILL");
      }, limitMs)
    : undefined;
  const [out, err, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "exit"),
  ]);
  clearTimeout(timer);
  outcome ??= code === 0 ? "passed" : "failed";
  return { outcome, output: `${out}${err}` };
}

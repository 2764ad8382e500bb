/** Mutates files with Stryker, in a copy of the project, and collects what survived. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { MutantResult, PartialStrykerOptions } from "@stryker-mutator/api/core";
import { Stryker } from "@stryker-mutator/core";
import type { Lines } from "./changed-lines.ts";
import { findRange, rangeOf, textAt } from "./place.ts";
import { collapse } from "./result.ts";
import type { FileResult, Survivor } from "./result.ts";
import { SAMPLE_VARIABLE } from "./sample.ts";
import { TESTS_VARIABLE } from "./tests-variable.ts";

/** A file to mutate. */
export interface MutatedFile {
  readonly file: string;
  /** Lines to mutate. Default: the whole file. */
  readonly lines?: readonly Lines[];
}

export interface CodeRun {
  /** All are mutated in one run: the tests run without a mutant once. */
  readonly files: readonly MutatedFile[];
  readonly tests: readonly string[];
  /** One mutant in this many is run. */
  readonly sample: number;
  /** Keeps the results of the previous run, so that only what changed is run again. */
  readonly incrementalFile?: string;
}

export type Measured = Pick<FileResult, "killed" | "timedOut" | "survivors" | "sample">;

// A mutant times out after this many times its tests' time in the first run, and this. A busy machine is no hang.
const TIMEOUT_FACTOR = 4;
const TIMEOUT_MS = 10_000;
const FIRST_RUN_MINUTES = 15;
// One computes while the other waits for a test that hangs.
const WORKERS = 2;

/** Runs Stryker in the present working directory, which has to be the copy: it changes the files in place. */
export async function runCodeMutants({
  files,
  ...run
}: CodeRun): Promise<ReadonlyMap<string, Measured>> {
  const mutate = files.flatMap(
    ({ file, lines }) => lines?.map(([from, to]) => `${file}:${from}-${to}`) ?? [file],
  );
  const sources = new Map<string, string>();
  for (const { file } of files) sources.set(file, await readFile(file, "utf8"));
  const mutants = await runStryker({ mutate, ...run });
  const measure = (file: string, source: string): Measured => {
    const own = mutants.filter(({ fileName }) => fileName.endsWith(file));
    const count = (status: MutantResult["status"]): number =>
      own.filter((mutant) => mutant.status === status).length;
    return {
      killed: count("Killed"),
      timedOut: count("Timeout"),
      survivors: own.filter(isSurvivor).map((mutant) => toSurvivor(file, source, mutant)),
      ...(run.sample === 1 ? {} : { sample: { size: run.sample, of: own.length } }),
    };
  };
  return new Map([...sources].map(([file, source]) => [file, measure(file, source)]));
}

/** Runs further tests against survivors of any files. Returns those that these tests notice. */
export async function runSurvivors(
  survivors: readonly Survivor[],
  tests: readonly string[],
): Promise<Survivor[]> {
  const places = new Map<Survivor, string>();
  for (const survivor of survivors) {
    const range = findRange(await readFile(survivor.file, "utf8"), survivor);
    if (range === undefined)
      console.log(`${survivor.file}:${survivor.line} has changed since: run the file again`);
    else places.set(survivor, range);
  }
  const mutate = [...places].map(([{ file }, range]) => `${file}:${range}`);
  if (mutate.length === 0) return [];
  const mutants = await runStryker({ mutate, tests, sample: 1 });
  const noticed = mutants.filter(({ status }) => status === "Killed" || status === "Timeout");
  // Stryker also mutates what lies within these places.
  return survivors.filter((survivor) =>
    noticed.some(
      (mutant) =>
        mutant.fileName.endsWith(survivor.file) &&
        rangeOf(mutant.location) === places.get(survivor) &&
        mutant.mutatorName === survivor.mutator &&
        collapse(mutant.replacement) === survivor.replacement,
    ),
  );
}

interface StrykerRun extends Pick<CodeRun, "tests" | "sample" | "incrementalFile"> {
  readonly mutate: string[];
}

async function runStryker({
  mutate,
  tests,
  sample,
  incrementalFile,
}: StrykerRun): Promise<MutantResult[]> {
  process.env[SAMPLE_VARIABLE] = String(sample);
  process.env[TESTS_VARIABLE] = tests.join(",");
  const options: PartialStrykerOptions = {
    mutate,
    testRunner: "vitest",
    plugins: [
      import.meta.resolve("@stryker-mutator/vitest-runner"),
      import.meta.resolve("./sample-checker.ts"),
    ],
    vitest: {
      configFile: fileURLToPath(new URL("vitest.config.ts", import.meta.url)),
      // The tests reach the sources by the names of the packages as well.
      related: false,
      pool: "threads",
    },
    inPlace: true,
    tempDirName: join(process.cwd(), ".mutation"),
    checkers: sample === 1 ? [] : ["sample"],
    disableTypeChecks: false,
    coverageAnalysis: "perTest",
    incremental: incrementalFile !== undefined,
    ...(incrementalFile === undefined ? {} : { incrementalFile }),
    concurrency: WORKERS,
    timeoutMS: TIMEOUT_MS,
    timeoutFactor: TIMEOUT_FACTOR,
    dryRunTimeoutMinutes: FIRST_RUN_MINUTES,
    reporters: ["progress-append-only"],
    allowConsoleColors: false,
  };
  return new Stryker(options).runMutationTest();
}

function isSurvivor({ status }: MutantResult): boolean {
  return status === "Survived" || status === "NoCoverage";
}

function toSurvivor(file: string, source: string, mutant: MutantResult): Survivor {
  const { location, mutatorName, replacement, status } = mutant;
  return {
    file,
    line: location.start.line,
    range: rangeOf(mutant.location),
    mutator: mutatorName,
    original: collapse(textAt(source, location)),
    replacement: collapse(replacement),
    status: status === "Survived" ? "survived" : "not covered",
  };
}

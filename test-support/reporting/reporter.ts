/** Vitest's reporter of this project: prints the slowest tests, and writes what failed to a file for the end of a longer log. */
import { writeFileSync } from "node:fs";
import { relative } from "node:path";
import type { Reporter, SerializedError, TestCase, TestModule } from "vitest/node";
import { describeFailures } from "./failure.ts";
import type { Failure } from "./failure.ts";

export interface ReporterOptions {
  /** The folder to which paths are relative. */
  readonly root: string;
  /** The file for the failures. It is written only if there are some. Default: no file. */
  readonly failuresFile?: string | undefined;
  /** Prints a line. Default: to standard output. */
  readonly print?: (line: string) => void;
}

const SLOWEST = 10;
/** Kept output of one test: enough for a reason, bounded for a test that prints for minutes. */
const OUTPUT_CHARACTERS = 10_000;

export function createReporter({
  root,
  failuresFile,
  print = console.log,
}: ReporterOptions): Reporter {
  const outputs = new Map<string, string>();

  const failuresOf = (module: TestModule): Failure[] => {
    const file = relative(root, module.moduleId);
    const failure = (name: string, id: string, errors: readonly SerializedError[]): Failure => ({
      name: [file, ...(name === "" ? [] : [name])].join(" > "),
      project: module.project.name,
      errors,
      output: outputs.get(id) ?? "",
    });
    const suites = [...module.children.allSuites()].map((suite) =>
      failure(suite.fullName, suite.id, suite.errors()),
    );
    const tests = [...module.children.allTests("failed")].map((test) =>
      failure(test.fullName, test.id, test.result().errors ?? []),
    );
    const whole = failure("", module.id, module.errors());
    return [...[whole, ...suites].filter(({ errors }) => errors.length > 0), ...tests];
  };

  return {
    onUserConsoleLog({ taskId = "", content }) {
      const output = (outputs.get(taskId) ?? "") + content;
      outputs.set(taskId, output.slice(-OUTPUT_CHARACTERS));
    },
    onTestCaseResult(test) {
      if (test.result().state !== "failed") outputs.delete(test.id);
    },
    onTestRunEnd(modules, unhandled) {
      printSlowest(modules, root, print);
      const failures = modules.flatMap(failuresOf);
      if (unhandled.length > 0)
        failures.push({ name: "outside of any test", project: "", errors: unhandled, output: "" });
      if (failuresFile !== undefined && failures.length > 0)
        writeFileSync(failuresFile, describeFailures(failures, root));
    },
  };
}

function printSlowest(
  modules: readonly TestModule[],
  root: string,
  print: (line: string) => void,
): void {
  const tests = modules.flatMap((module) => [...module.children.allTests()]);
  const slowest = tests.toSorted((a, b) => durationOf(b) - durationOf(a)).slice(0, SLOWEST);
  if (slowest.length === 0) return;
  print(`\nThe slowest ${slowest.length} of ${tests.length} tests:`);
  for (const test of slowest) {
    const seconds = (durationOf(test) / 1_000).toFixed(1).padStart(6);
    print(`${seconds} s  ${relative(root, test.module.moduleId)} > ${test.fullName}`);
  }
}

function durationOf(test: TestCase): number {
  return test.diagnostic()?.duration ?? 0;
}

/** A checker of Stryker: refuses mutants outside the sample, so that no test runs against them. */
import { relative } from "node:path";
import { CheckStatus } from "@stryker-mutator/api/check";
import type { Checker, CheckResult } from "@stryker-mutator/api/check";
import type { Mutant } from "@stryker-mutator/api/core";
import { declareValuePlugin, PluginKind } from "@stryker-mutator/api/plugin";
import { isSampled, SAMPLE_VARIABLE } from "./sample.ts";

const checker: Checker = {
  init: () => Promise.resolve(),
  check: (mutants) =>
    Promise.resolve(Object.fromEntries(mutants.map((mutant) => [mutant.id, check(mutant)]))),
};

function check({ fileName, location, mutatorName, replacement }: Mutant): CheckResult {
  const file = relative(process.cwd(), fileName);
  const size = Number(process.env[SAMPLE_VARIABLE]);
  return isSampled(size, file, JSON.stringify(location), mutatorName, replacement)
    ? { status: CheckStatus.Passed }
    : { status: CheckStatus.CompileError, reason: "outside the sample" };
}

/** Stryker reads plugins by this name. */
export const strykerPlugins = [declareValuePlugin(PluginKind.Checker, "sample", checker)];

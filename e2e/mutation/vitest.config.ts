/** Vitest as Stryker runs it: the tests of one area, in the copy of the project that is its working directory. */
import { globSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { needsOwnProcess } from "@oncekey/test-support/lanes/lane-files";
import { defineConfig } from "vitest/config";
import type { ViteUserConfig } from "vitest/config";
import { BaseSequencer } from "vitest/node";
import type { TestSpecification } from "vitest/node";
import { TESTS_VARIABLE } from "./tests-variable.ts";

const conditions = ["@oncekey/source"];
const copy = process.cwd();
const support = fileURLToPath(new URL("../../test-support/", import.meta.url));
// A test that hangs notices the mutant, and earlier than Stryker does. On a busy machine, the slowest test takes a third of this.
const TIMEOUT_MS = 10_000;
const START_TIMEOUT_MS = 300_000;
// Some tests wait for what the client removes after 3 s.
const POLL_MS = 20_000;

const given = (process.env[TESTS_VARIABLE] ?? "").split(",").filter((path) => path !== "");
const files = given.flatMap((path) =>
  path.endsWith(".ts") ? [path] : globSync(`${path}/**/*.test.ts`, { cwd: copy }),
);
const isAlone = (file: string): boolean => needsOwnProcess(join(copy, file));

/** Sorts files by how soon they may notice a mutant: what noticed the one before first, then the quickest. Vitest begins with the slowest. */
class SoonestFirst extends BaseSequencer {
  override async sort(specifications: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = (specification: TestSpecification): number => {
      const last = this.ctx.cache.getTestSpecificationResult(specification);
      return last?.failed ? -1 : (last?.duration ?? 0);
    };
    return specifications.toSorted(
      (one, other) => orderOf(one) - orderOf(other) || rank(one) - rank(other),
    );
  }
}

function orderOf({ project: { config } }: TestSpecification): number {
  return config.sequence.groupOrder;
}

function project(name: string, include: string[], isolate: boolean) {
  return {
    resolve: { conditions },
    ssr: { resolve: { conditions } },
    test: {
      name,
      root: copy,
      include,
      isolate,
      // A process of its own takes longer to start than most files take to run.
      sequence: { groupOrder: isolate ? 1 : 0 },
      setupFiles: isolate ? [] : [join(support, "lanes/shared-process.ts")],
      globalSetup: [join(support, "postgres/global-setup.ts")],
      testTimeout: TIMEOUT_MS,
      hookTimeout: START_TIMEOUT_MS,
      expect: { poll: { timeout: POLL_MS } },
    },
  };
}

const config: ViteUserConfig = defineConfig({
  root: copy,
  test: {
    sequence: { sequencer: SoonestFirst },
    projects: [
      project("alone", files.filter(isAlone), true),
      project(
        "shared",
        files.filter((file) => !isAlone(file)),
        false,
      ),
    ].filter(({ test }) => test.include.length > 0),
  },
});
export default config;

/** Vitest as Stryker runs it: the tests of one area, in the copy of the project that is its working directory. */
import { globSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { needsOwnProcess } from "@oncekey/test-support/lanes/lane-files";
import { defineConfig } from "vitest/config";
import type { ViteUserConfig } from "vitest/config";
import { TESTS_VARIABLE } from "./tests-variable.ts";

const conditions = ["@oncekey/source"];
const copy = process.cwd();
const support = fileURLToPath(new URL("../../test-support/", import.meta.url));
// A fault that hangs ends by Stryker's own time limit.
const TIMEOUT_MS = 300_000;
// Some tests wait for what the client removes after 3 s.
const POLL_MS = 20_000;

const given = (process.env[TESTS_VARIABLE] ?? "").split(",").filter((path) => path !== "");
const files = given.flatMap((path) =>
  path.endsWith(".ts") ? [path] : globSync(`${path}/**/*.test.ts`, { cwd: copy }),
);
const isAlone = (file: string): boolean => needsOwnProcess(join(copy, file));

function project(name: string, include: string[], isolate: boolean) {
  return {
    resolve: { conditions },
    ssr: { resolve: { conditions } },
    test: {
      name,
      root: copy,
      include,
      isolate,
      setupFiles: isolate ? [] : [join(support, "lanes/shared-process.ts")],
      globalSetup: [join(support, "postgres/global-setup.ts")],
      testTimeout: TIMEOUT_MS,
      hookTimeout: TIMEOUT_MS,
      expect: { poll: { timeout: POLL_MS } },
    },
  };
}

const config: ViteUserConfig = defineConfig({
  root: copy,
  test: {
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

import { defineConfig } from "vitest/config";
import { lane } from "./test-support/lanes/lane.ts";
import { filesOfLane } from "./test-support/lanes/lane-files.ts";
import { createReporter } from "./test-support/reporting/reporter.ts";

const conditions = ["@oncekey/source"];

// No test is decided by time: these limits end only what hangs, on a machine that is busy with something else as well.
const TEST_TIMEOUT_MS = 120_000;

interface More {
  readonly root?: string;
  readonly include?: string[];
  readonly globalSetup?: string[];
}

function project(name: string, more: More = {}, alias: Readonly<Record<string, string>> = {}) {
  const root = `${import.meta.dirname}/${name}`;
  return {
    resolve: { conditions, alias },
    ssr: { resolve: { conditions } },
    test: {
      name,
      root,
      include: lane === undefined ? ["**/*.test.ts"] : filesOfLane(lane, root),
      testTimeout: TEST_TIMEOUT_MS,
      hookTimeout: TEST_TIMEOUT_MS,
      expect: { poll: { timeout: TEST_TIMEOUT_MS / 2 } },
      ...more,
    },
  };
}

// Runs the same tests with the oldest supported React as well.
const react18 = `${import.meta.dirname}/client/test/react-18/node_modules`;
const withReact18 = project(
  "client-react-18",
  { root: `${import.meta.dirname}/client`, include: ["test/react/react*.test.ts"] },
  { react: `${react18}/react`, "react-dom": `${react18}/react-dom` },
);

// One Postgres serves every project. It starts when the first test file asks for a database of its own.
const globalSetup = [`${import.meta.dirname}/test-support/postgres/global-setup.ts`];

const projects = [
  project("shared"),
  project("test-support", { globalSetup }),
  project("client"),
  ...(lane === undefined || lane === "unit" ? [withReact18] : []),
  project("server", { globalSetup }),
  project("e2e", { globalSetup }),
];

export default defineConfig({
  test: {
    // Most of a test here is waiting for a database, a server or a browser, so no core is kept free.
    maxWorkers: "100%",
    projects: projects.filter(({ test }) => test.include.length > 0),
    reporters: [
      "default",
      createReporter({
        root: import.meta.dirname,
        failuresFile: process.env["ONCEKEY_FAILURES_FILE"],
      }),
    ],
  },
});

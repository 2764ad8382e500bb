import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";
import { lane } from "./test-support/lanes/lane.ts";
import { filesOfLane, needsOwnProcess } from "./test-support/lanes/lane-files.ts";
import { createReporter } from "./test-support/reporting/reporter.ts";

const conditions = ["@oncekey/source"];

// No test is decided by time: these limits end only what hangs, on a machine that is busy with something else as well.
const TEST_TIMEOUT_MS = 300_000;

// Each is started as its first test is due. One waits for a database or another process while the others compute.
const WORKERS_PER_CORE = 2;

interface Project {
  readonly name: string;
  /** Default: the folder of that name. */
  readonly root?: string;
  /** Paths relative to the root. */
  readonly include: string[];
  /** Whether each file has a process of its own. */
  readonly isolate: boolean;
  readonly alias?: Readonly<Record<string, string>>;
}

const ROOT = import.meta.dirname;

// Hundreds of processes load the same modules. Workers and the processes of tests inherit it; a third of their CPU time.
process.env["NODE_COMPILE_CACHE"] ??= `${ROOT}/node_modules/.cache/compiled`;

function project({ name, root = `${ROOT}/${name}`, include, isolate, alias = {} }: Project) {
  return {
    resolve: { conditions, alias },
    ssr: { resolve: { conditions } },
    test: {
      name,
      root,
      include,
      isolate,
      setupFiles: isolate ? [] : [`${ROOT}/test-support/lanes/shared-process.ts`],
      // One Postgres serves every project. It starts when the first test file asks for a database of its own.
      globalSetup: [`${ROOT}/test-support/postgres/global-setup.ts`],
      testTimeout: TEST_TIMEOUT_MS,
      hookTimeout: TEST_TIMEOUT_MS,
      expect: { poll: { timeout: TEST_TIMEOUT_MS / 2 } },
    },
  };
}

const packages = ["shared", "test-support", "client", "server", "e2e"].map((name) => ({
  name,
  files: filesOfLane(lane, `${ROOT}/${name}`),
}));
const isAlone = (name: string, file: string): boolean => needsOwnProcess(`${ROOT}/${name}/${file}`);

// Runs the same tests with the oldest supported React as well.
const react18 = `${ROOT}/client/test/react-18/node_modules`;
const withReact18 = project({
  name: "client-react-18",
  root: `${ROOT}/client`,
  include: ["test/react/react*.test.ts"],
  isolate: true,
  alias: { react: `${react18}/react`, "react-dom": `${react18}/react-dom` },
});

const projects = [
  // The longest ones are among these, and projects run in the order of their names.
  project({
    name: "alone",
    root: ROOT,
    include: packages.flatMap(({ name, files }) =>
      files.filter((file) => isAlone(name, file)).map((file) => `${name}/${file}`),
    ),
    isolate: true,
  }),
  ...(lane === undefined || lane === "unit" ? [withReact18] : []),
  ...packages.map(({ name, files }) =>
    project({ name, include: files.filter((file) => !isAlone(name, file)), isolate: false }),
  ),
];

export default defineConfig({
  test: {
    maxWorkers: availableParallelism() * WORKERS_PER_CORE,
    projects: projects.filter(({ test }) => test.include.length > 0),
    reporters: [
      "default",
      createReporter({
        root: ROOT,
        failuresFile: process.env["ONCEKEY_FAILURES_FILE"],
      }),
    ],
  },
});

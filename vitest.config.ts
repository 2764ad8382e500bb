import { defineConfig } from "vitest/config";

const conditions = ["@oncekey/source"];

// No test is decided by time: these end only what hangs, on a machine that is busy with something else as well.
const TEST_TIMEOUT_MS = 60_000;

interface More {
  readonly root?: string;
  readonly include?: string[];
  readonly globalSetup?: string[];
}

function project(name: string, more: More = {}, alias: Readonly<Record<string, string>> = {}) {
  return {
    resolve: { conditions, alias },
    ssr: { resolve: { conditions } },
    test: {
      name,
      root: `${import.meta.dirname}/${name}`,
      include: ["**/*.test.ts"],
      testTimeout: TEST_TIMEOUT_MS,
      hookTimeout: TEST_TIMEOUT_MS,
      expect: { poll: { timeout: TEST_TIMEOUT_MS / 2 } },
      ...more,
    },
  };
}

// The same tests once more, with the oldest React that is supported.
const react18 = `${import.meta.dirname}/client/test/react-18/node_modules`;
const withReact18 = project(
  "client-react-18",
  { root: `${import.meta.dirname}/client`, include: ["test/react/react*.test.ts"] },
  { react: `${react18}/react`, "react-dom": `${react18}/react-dom` },
);

// One Postgres serves every project that needs one; each test file has a database of its own in it.
const globalSetup = [`${import.meta.dirname}/test-support/postgres/global-setup.ts`];

export default defineConfig({
  test: {
    // Most of a test here is waiting for a database, a server or a browser, so no core is kept free.
    maxWorkers: "100%",
    projects: [
      project("shared"),
      project("test-support", { globalSetup }),
      project("client"),
      withReact18,
      project("server", { globalSetup }),
      project("e2e", { globalSetup }),
    ],
  },
});

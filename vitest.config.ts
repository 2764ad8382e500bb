import { defineConfig } from "vitest/config";

const conditions = ["@oncekey/source"];

// No test is decided by time: these end only what hangs, on a machine that is busy with something else as well.
const TEST_TIMEOUT_MS = 60_000;

function project(name: string, more: { globalSetup?: string[] } = {}) {
  return {
    resolve: { conditions },
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

// One Postgres serves every project that needs one; each test file has a database of its own in it.
const globalSetup = [`${import.meta.dirname}/e2e/support/postgres-setup.ts`];

export default defineConfig({
  test: {
    // Most of a test here is waiting for a database, a server or a browser, so no core is kept free.
    maxWorkers: "100%",
    projects: [
      project("shared"),
      project("client"),
      project("server", { globalSetup }),
      project("e2e", { globalSetup }),
    ],
  },
});

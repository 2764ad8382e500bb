import { defineConfig } from "vitest/config";

const conditions = ["@oncekey/source"];

function project(name: string, more: { globalSetup?: string[]; testTimeout?: number } = {}) {
  return {
    resolve: { conditions },
    ssr: { resolve: { conditions } },
    test: { name, root: `${import.meta.dirname}/${name}`, include: ["**/*.test.ts"], ...more },
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
      project("server", { globalSetup, testTimeout: 30_000 }),
      project("e2e", { globalSetup, testTimeout: 60_000 }),
    ],
  },
});

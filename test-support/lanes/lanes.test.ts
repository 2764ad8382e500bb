import { globSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { filesOfLane, needsOwnProcess } from "./lane-files.ts";
import { readLane } from "./lane.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const PACKAGES = ["shared", "test-support", "client", "server", "e2e"];

function filesOf(lane: "unit" | "database" | "deep"): string[] {
  return PACKAGES.flatMap((name) =>
    filesOfLane(lane, resolve(ROOT, name)).map((file) => `${name}/${file}`),
  );
}

describe("a lane", () => {
  it("is read by its name, and refused by another one with the allowed names", () => {
    expect([readLane("deep"), readLane(""), readLane(undefined)]).toEqual([
      "deep",
      undefined,
      undefined,
    ]);
    expect(() => readLane("quick")).toThrow(
      "ONCEKEY_LANE must be one of unit, database, deep or unset, got quick",
    );
  });

  it("has the files that use Postgres in database, and none of them in unit", () => {
    const [unit, database] = [filesOf("unit"), filesOf("database")];
    // Imports the database itself, and through a helper.
    expect(database).toContain("server/test/store/lease.test.ts");
    expect(database).toContain("server/test/request/handler.test.ts");
    expect(unit).toContain("shared/test/header.test.ts");
    expect(unit.filter((file) => database.includes(file))).toEqual([]);
  });

  it("has no file in database whose result another Postgres or a pooler cannot change", () => {
    const database = filesOf("database");
    const folders = new Set(database.map((file) => file.split("/").slice(0, 3).join("/")));
    expect([...folders]).toContain("server/test/faults");
    expect([...folders]).not.toContain("server/test/plugins");
    expect(database.filter((file) => !file.startsWith("server/test/"))).toEqual([]);
  });

  it("has no file in unit that starts a browser or a process", () => {
    const unit = filesOf("unit");
    expect(unit).not.toContain("e2e/browser/sandbox.test.ts");
    // The process is started by the server's sources, which the test imports by the name of the package.
    expect(unit).not.toContain("server/test/testing/testing.test.ts");
    expect(unit).not.toContain("test-support/processes/supervised.test.ts");
  });

  it("has every exploration in deep", () => {
    expect(filesOf("deep")).toEqual(
      expect.arrayContaining([
        "client/test/model/model.test.ts",
        "server/test/cli/usage.test.ts",
        "server/test/request/hostile-input.test.ts",
        "server/test/simulation/planted.test.ts",
        "server/test/simulation/simulation.test.ts",
        "e2e/demo/demo.test.ts",
        "e2e/chaos/interruption.test.ts",
        "e2e/docs/crash-testing.test.ts",
      ]),
    );
  });
});

describe("a process of its own", () => {
  const own = (file: string): boolean => needsOwnProcess(resolve(ROOT, file));

  it("is for files that mock modules or replace globals, themselves or in a helper", () => {
    expect(own("server/test/simulation/planted.test.ts")).toBe(true);
    expect(own("client/test/fetch/ky-traps.test.ts")).toBe(true);
    // The helper makes a document.
    expect(own("client/test/react/react.test.ts")).toBe(true);
    // The helper listens on a channel of the process.
    expect(own("server/test/faults/server-clock-step.test.ts")).toBe(true);
    // OpenTelemetry has one provider a process.
    expect(own("server/test/store/health.test.ts")).toBe(true);
  });

  it("is not for files whose sources alone read globals", () => {
    expect(own("server/test/store/lease.test.ts")).toBe(false);
    expect(own("client/test/retry/retry-table.test.ts")).toBe(false);
  });
});

it("no test of a package imports from e2e", () => {
  const tests = PACKAGES.filter((name) => name !== "e2e").flatMap((name) =>
    globSync(`${name}/{src,test}/**/*.{ts,tsx}`, { cwd: ROOT }),
  );
  const wrong = tests.filter((file) =>
    /from "(@oncekey\/e2e|[./]+\/e2e\/)/.test(readFileSync(resolve(ROOT, file), "utf8")),
  );
  expect(tests.length).toBeGreaterThan(100);
  expect(wrong).toEqual([]);
});

import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { AREAS, findAreas } from "./areas.ts";
import { parseDiff } from "./changed-lines.ts";
import { EQUIVALENT } from "./equivalent.ts";
import { formatPage } from "./page.ts";
import { findRange } from "./place.ts";
import { collapse } from "./result.ts";
import { isSampled } from "./sample.ts";
import { readSettings } from "./settings.ts";

const ROOT = resolve(import.meta.dirname, "../..");

describe("areas", () => {
  it("name folders and tests that exist", () => {
    const paths = AREAS.flatMap(({ folder, tests }) => [folder, ...tests]);
    expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });

  it("are found by a file or a folder below them, with the tests of the area", () => {
    const [found] = findAreas(["server/src/store/sql/"]);
    expect(found?.folder).toBe("server/src/store/sql");
    expect(found?.tests).toContain("server/test/store");
  });

  it("refuse a path that nothing mutates, with the allowed ones", () => {
    expect(() => findAreas(["client/src/react"])).toThrow(
      /a path must be one of client\/src\/retry, .* or below, got client\/src\/react/,
    );
  });
});

describe("the arguments of the command", () => {
  it("are refused with the allowed values", () => {
    expect(() => readSettings(["--mutators", "css"])).toThrow(
      "--mutators must be one of all, code, sql, got css",
    );
    expect(() => readSettings(["--minutes", "0"])).toThrow(
      "--minutes must be a number above 0, got 0",
    );
    expect(() => readSettings(["--sample", "0.5"])).toThrow(
      "--sample must be an integer from 1, got 0.5",
    );
    expect(() => readSettings(["--sample", "4", "--survivors"])).toThrow(
      "--sample has no effect with --survivors",
    );
  });
});

it("a sample has the same mutants each time, about one in its size", () => {
  const names = Array.from({ length: 1000 }, (_, index) => `mutant ${index}`);
  const sample = names.filter((name) => isSampled(4, "a.ts", name));
  expect(sample.length).toBeGreaterThan(200);
  expect(sample.length).toBeLessThan(300);
  expect(names.filter((name) => isSampled(4, "a.ts", name))).toEqual(sample);
  expect(names.filter((name) => isSampled(1, "a.ts", name))).toEqual(names);
});

it("changed lines are read from a diff, without places where lines were only removed", () => {
  const diff = [
    "--- a/client/src/one.ts",
    "+++ b/client/src/one.ts",
    "@@ -3 +3,2 @@ function one() {",
    "+++ i;",
    "@@ -9,2 +10,0 @@",
    "--- /dev/null",
    "+++ b/client/src/two.ts",
    "@@ -0,0 +1 @@",
  ].join("\n");
  expect([...parseDiff(diff)]).toEqual([
    ["client/src/one.ts", [[3, 4]]],
    ["client/src/two.ts", [[1, 1]]],
  ]);
});

describe("the place of a survivor", () => {
  const kept = { range: "2:2-3:5", original: "a || b" };

  it("is where its text stands by now, nearest to where it was", () => {
    expect(findRange("a || b\nx(a ||\n    b)\n", kept)).toBe("2:2-3:5");
    expect(findRange("\n\nx(a ||\n    b)\nx(a ||\n    b)\n", kept)).toBe("3:2-4:5");
  });

  it("is nowhere if its text has changed", () => {
    expect(findRange("x(a &&\n    b)\n", kept)).toBeUndefined();
  });
});

describe("the page", () => {
  const survivor = {
    file: "client/src/retry/again.ts",
    line: 3,
    mutator: "LogicalOperator",
    original: "a || b",
    replacement: "a && b",
    status: "survived" as const,
  };
  const page = formatPage([
    {
      file: "client/src/retry/again.ts",
      kind: "code",
      date: "2026-11-30 16:32",
      seconds: 5,
      killed: 2,
      timedOut: 1,
      survivors: [survivor],
    },
  ]);

  it("has the share of noticed mutants, and names what was not run", () => {
    expect(page).toMatch(
      /\| `client\/src\/retry`, 1 of \d+ files \| 4 \| code \| 2 \| 1 \| 1 \| 0 \| 75.0 % \| 2026-11-30 \|/,
    );
    expect(page).toContain("| `client/src/wire` | not run |");
    expect(page).toContain("`client/src/retry/classify.ts`");
  });

  it("names the number of mutants that a sample is taken from", () => {
    const sampled = formatPage([
      {
        file: "client/src/retry/again.ts",
        kind: "code",
        date: "2026-11-30 16:32",
        seconds: 5,
        killed: 3,
        timedOut: 0,
        survivors: [survivor],
        sample: { size: 4, of: 17 },
      },
    ]);
    expect(sampled).toContain("| 4 of 17, sampled | code | 3 |");
    expect(sampled).toContain("client/src/retry --mutators code --sample 4`");
  });

  it("lists a survivor without a reason as open", () => {
    expect(page).toContain(
      String.raw`| LogicalOperator | ${"`a \\|\\| b`"} | ${"`a && b`"} | survived |`,
    );
  });
});

it("each equivalent mutant has a reason, and its original text is still in the file", async () => {
  for (const { file, original, reason } of EQUIVALENT) {
    const text = (await readFile(join(ROOT, file), "utf8")).replaceAll(/\s+/g, " ");
    expect(text).toContain(original.replace(/…$/, ""));
    expect(reason.length).toBeGreaterThan(20);
  }
  expect(collapse("a\n  b")).toBe("a b");
});

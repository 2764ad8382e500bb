import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { startVitest } from "vitest/node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createReporter } from "./reporter.ts";

const PASSING = `
import { expect, test } from "vitest";
test("adds", () => expect(1 + 1).toBe(2));
test("prints and passes", () => console.log("of no interest"));
`;
const FAILING = `
import { describe, expect, test } from "vitest";
describe("a price", () => {
  test("has cents", () => {
    console.log("asked for the price");
    expect({ amount: 47 }).toEqual({ amount: 48 });
  });
  test("has a reason", () => {
    throw new TypeError("no price", { cause: new RangeError("no currency") });
  });
});
`;
const BROKEN = `import { absent } from "./absent.ts"; absent();`;

let folder: string;
let failures: string;
const printed: string[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "oncekey-reporter-"));
  // The tests in it find Vitest there.
  const [modules] = fileURLToPath(import.meta.resolve("vitest")).split("/.pnpm/");
  await symlink(modules ?? dirname(folder), join(folder, "node_modules"));
  const tests = join(folder, "tests");
  await mkdir(tests);
  for (const [name, text] of Object.entries({ PASSING, FAILING, BROKEN }))
    await writeFile(join(tests, `${name.toLowerCase()}.test.ts`), text);
  const failuresFile = join(folder, "failures.txt");
  const reporter = createReporter({
    root: folder,
    failuresFile,
    print: (line) => printed.push(...line.split("\n")),
  });
  const before = process.exitCode;
  const run = await startVitest("test", [], {
    root: tests,
    config: false,
    watch: false,
    reporters: [reporter],
  });
  await run.close();
  process.exitCode = before;
  failures = await readFile(failuresFile, "utf8");
});
afterAll(() => rm(folder, { recursive: true }));

test("a failed test is written with its name, its diff, its location, its line and its own output", () => {
  expect(failures).toContain("FAILED  tests/failing.test.ts > a price > has cents");
  expect(failures).toMatch(/-\s+"amount": 48,\n\s+\+\s+"amount": 47,/);
  expect(failures).toContain("at tests/failing.test.ts:6:28");
  expect(failures).toContain(">    6|     expect({ amount: 47 }).toEqual({ amount: 48 });");
  expect(failures).toMatch(/printed by the test:\n\s+asked for the price/);
  expect(failures).not.toContain("of no interest");
});

test("an error is written with its cause", () => {
  expect(failures).toContain("TypeError: no price");
  expect(failures).toContain("caused by RangeError: no currency");
});

test("a file that does not load is written with the reason", () => {
  expect(failures).toMatch(/FAILED {2}tests\/broken\.test\.ts\n.*absent\.ts/);
});

test("the slowest tests are printed, ten at most", () => {
  expect(printed).toContain("The slowest 4 of 4 tests:");
  expect(printed.filter((line) => / s {2}tests\//.test(line))).toHaveLength(4);
});

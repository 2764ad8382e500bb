import { describe, expect, it } from "vitest";
import { readSettings } from "./settings.ts";

describe("the arguments of bench", () => {
  it("measure everything by default, and write the page", () => {
    const { command, plan, pages } = readSettings([]);
    expect(command).toBe("run");
    expect(plan.concurrencies).toEqual([1, 16, 64]);
    expect(plan.subjects).toEqual(
      expect.arrayContaining(["F0", "F1", "F2", "advisory", "unique", "row", "lease", "dbos"]),
    );
    expect(pages).toMatch(/docs\/reports\/$/);
  });

  it("choose subjects, kinds and connections, with the references beside them", () => {
    const words = ["--quick", "--subjects", "lease", "--kinds", "first", "--concurrency", "4"];
    const { plan, pages } = readSettings(words);
    expect(plan).toMatchObject({
      subjects: ["F0", "F1", "F2", "lease"],
      kinds: ["first"],
      concurrencies: [4],
      stormRounds: 0,
    });
    expect(pages).toBeUndefined();
  });

  it("measure the floor of all strategies, and write its page", () => {
    const { command, plan, pages } = readSettings(["--floor"]);
    expect(command).toBe("floor");
    expect(plan.subjects).toEqual(["F0", "F2", "bare", "advisory", "unique", "row", "lease"]);
    expect(pages).toMatch(/docs\/reports\/$/);
  });

  it.each([
    [["--subjects", "nobody"], "--subjects must be of F0, F1"],
    [["--concurrency", "0"], "--concurrency must be a whole number from 1, got 0"],
    [["--rounds", "1.5"], "--rounds must be a whole number from 1, got 1.5"],
  ])("refuse %j", (words, message) => {
    expect(() => readSettings(words)).toThrow(message);
  });
});

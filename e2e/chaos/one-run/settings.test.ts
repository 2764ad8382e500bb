import { describe, expect, it } from "vitest";
import { readSettings } from "./settings.ts";

describe("test:faults", () => {
  it("runs all of its operations, strikes and disturbances unless it is asked for less", () => {
    const { plan } = readSettings([]);
    expect(plan).toMatchObject({ share: 1, operations: 30_000, abandoned: 1_500 });
    expect(plan.disturbances).toMatchObject({ commitFaults: 200, databasesFilled: 5 });
  });

  it("runs a part of them with --share", () => {
    const { plan } = readSettings(["--share", "0.3"]);
    expect(plan).toMatchObject({ share: 0.3, operations: 9_000, abandoned: 450 });
    expect(plan.disturbances).toMatchObject({ commitFaults: 60, databasesFilled: 2 });
  });

  it("takes a table with partitions if it is asked", () => {
    const isPartitioned = (...words: string[]) => readSettings(words).plan.partitioned;
    expect(isPartitioned("--seed", "7")).toBe(false);
    expect(isPartitioned("--seed", "7", "--partitioned")).toBe(true);
  });

  it.each(["0", "-1", "1.5", "half"])("refuses --share %s", (share) => {
    expect(() => readSettings([`--share=${share}`])).toThrow(
      /--share must be a number (from 0|above 0 and at most 1), got /,
    );
  });
});

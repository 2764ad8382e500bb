import { describe, expect, it } from "vitest";
import { QUANTITIES, trendsOf } from "./sample.ts";
import type { Sample } from "./sample.ts";

const MIB = 1_048_576;
const TABLE = QUANTITIES.find(({ file }) => file === "table.svg");

/** Whether a table of so many mebibytes, sample after sample, rises. */
function rises(sizes: readonly number[]): boolean | undefined {
  if (TABLE === undefined) throw new Error("the table is not looked at");
  const samples = sizes.map((size, index): Sample => {
    const none = { residentBytes: {}, handles: {}, expiredRows: 0, advisoryLocks: 0 };
    return { ...none, atMs: index, tableBytes: size * MIB };
  });
  return trendsOf(TABLE, samples)[0]?.isRising;
}

describe("a line of a soak", () => {
  it("rises where its last quarter is above its first", () => {
    expect(rises(Array.from({ length: 40 }, (_, index) => 10 + index))).toBe(true);
  });

  it("is flat between peaks, and where it only moves about", () => {
    const peaks = Array.from({ length: 40 }, (_, index) => (index % 4 === 0 ? 100 : 10));
    expect(rises(peaks)).toBe(false);
    expect(rises([10, 11, 12, 10, 11, 12, 13, 12])).toBe(false);
  });

  it("is flat where all of it is small", () => {
    expect(rises([0, 0, 0, 0, 1, 1, 2, 2])).toBe(false);
  });
});

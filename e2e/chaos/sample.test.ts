import { describe, expect, it } from "vitest";
import { FEWEST_SAMPLES, QUANTITIES, trendsOf } from "./sample.ts";
import type { Sample, Trend } from "./sample.ts";

const MIB = 1_048_576;

/** Returns the course of a line of values, sample after sample, in the picture of this file. */
function courseOf(
  picture: string,
  line: string,
  values: readonly number[],
  toSample: (value: number) => Partial<Sample>,
): Trend["course"] | undefined {
  const quantity = QUANTITIES.find(({ file }) => file === picture);
  if (quantity === undefined) throw new Error(`${picture} is not drawn`);
  const none = { residentBytes: {}, handles: {}, tableBytes: 0, expiredRows: 0, advisoryLocks: 0 };
  const samples = values.map((value, atMs): Sample => ({ ...none, atMs, ...toSample(value) }));
  return trendsOf(quantity, samples).find(({ name }) => name.endsWith(line))?.course;
}

/** Half of the time at one height, half at another. */
function step(from: number, to: number, length = 40): number[] {
  return Array.from({ length }, (_, index) => (index < length / 2 ? from : to));
}

const tableOf = (mebibytes: readonly number[]) =>
  courseOf("table.svg", "records", mebibytes, (size) => ({ tableBytes: size * MIB }));
const locksOf = (counts: readonly number[]) =>
  courseOf("rows-and-locks.svg", "advisory locks", counts, (advisoryLocks) => ({ advisoryLocks }));
const rowsOf = (counts: readonly number[]) =>
  courseOf("rows-and-locks.svg", "expired rows", counts, (expiredRows) => ({ expiredRows }));
const handlesOf = (counts: readonly number[]) =>
  courseOf("handles.svg", "A", counts, (count) => ({ handles: { A: count } }));
const memoryOf = (mebibytes: readonly number[]) =>
  courseOf("memory.svg", "A", mebibytes, (size) => ({ residentBytes: { A: size * MIB } }));

describe("a line of a soak", () => {
  it("rises where its last quarter is above its first", () => {
    expect(tableOf(Array.from({ length: 40 }, (_, index) => 10 + index))).toBe("rises");
  });

  it("is flat between peaks, and if it only moves about", () => {
    const peaks = Array.from({ length: 40 }, (_, index) => (index % 4 === 0 ? 100 : 10));
    expect(tableOf(peaks)).toBe("flat");
    expect(tableOf([10, 11, 12, 10, 11, 12, 13, 12, 11, 10, 12, 13])).toBe("flat");
  });

  it("is flat where all of it is small", () => {
    expect(tableOf([0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2])).toBe("flat");
  });

  it("is measured by what is noise for it: locks are not allowed what rows are", () => {
    expect(locksOf(step(5, 21))).toBe("flat");
    expect(locksOf(step(5, 22))).toBe("rises");
    expect(rowsOf(step(30, 230))).toBe("flat");
    expect(rowsOf(step(30, 231))).toBe("rises");
    expect(handlesOf(step(80, 112))).toBe("flat");
    expect(handlesOf(step(80, 113))).toBe("rises");
  });

  it("may rise by a quarter or by its noise, whichever is more", () => {
    expect(memoryOf(step(100, 132))).toBe("flat");
    expect(memoryOf(step(100, 133))).toBe("rises");
    expect(memoryOf(step(300, 375))).toBe("flat");
    expect(memoryOf(step(300, 376))).toBe("rises");
  });

  it("is not known where there are too few samples, however it looks", () => {
    expect(tableOf(step(10, 100, FEWEST_SAMPLES))).toBe("rises");
    expect(tableOf(step(10, 100, FEWEST_SAMPLES - 1))).toBe("unknown");
    expect(tableOf(step(10, 10, FEWEST_SAMPLES - 1))).toBe("unknown");
    expect(tableOf([])).toBe("unknown");
  });
});

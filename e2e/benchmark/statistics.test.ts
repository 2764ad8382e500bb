import { describe, expect, it } from "vitest";
import { quantile, spreadOf } from "./statistics.ts";

describe("spreadOf", () => {
  it("returns the median and the quartiles, whatever the order", () => {
    expect(spreadOf([5, 1, 4, 2, 3])).toEqual({ lower: 2, median: 3, upper: 4, samples: 5 });
  });

  it("interpolates between two samples", () => {
    expect(spreadOf([1, 2, 3, 4])).toEqual({ lower: 1.75, median: 2.5, upper: 3.25, samples: 4 });
  });

  it("ignores samples that were not measured", () => {
    expect(spreadOf([2, Number.NaN, Infinity])).toMatchObject({ median: 2, samples: 1 });
  });

  it("returns NaN without samples", () => {
    expect(spreadOf([]).median).toBeNaN();
  });
});

describe("quantile", () => {
  it.each([
    [0, 10],
    [0.99, 19.9],
    [1, 20],
  ])("at %d of 10 and 20 is %d", (part, expected) => {
    expect(quantile([10, 20], part)).toBeCloseTo(expected);
  });
});

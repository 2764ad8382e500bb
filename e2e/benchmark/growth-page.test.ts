import { describe, expect, it } from "vitest";
import type { Growth, GrowthSlice } from "./growth.ts";
import { drawWal, growthPage, growthRows } from "./growth-page.ts";

const SLICE: GrowthSlice = {
  version: "v7",
  rows: 0,
  phase: "filled",
  kind: "first",
  connections: 16,
  round: 1,
  requests: 100,
  rate: 1_000,
  p50Ms: 1,
  p99Ms: 2,
  serverUs: 400,
  databaseUs: 300,
  loaderUs: 20,
  walBytes: 1_000,
  noise: 0.01,
};
const FULL = { ...SLICE, rows: 1_000_000, rate: 900, walBytes: 1_300 };
const GROWTH: Growth = {
  machine: { cpu: "a CPU", cores: 2, memoryGiB: 8, postgres: "18.4" },
  slices: [SLICE, FULL, { ...SLICE, round: 2, rate: 2_000 }, { ...FULL, round: 2, rate: 1_600 }],
  states: [
    { version: "v7", rows: 0, phase: "filled", size: undefined, sweepMs: [] },
    {
      version: "v7",
      rows: 1_000_000,
      phase: "filled",
      size: { heapBytes: 800, indexBytes: 90 },
      sweepMs: [20, 30, 61],
    },
  ],
};

describe("growthRows", () => {
  it("compares each table with the empty one of the same round", () => {
    const [empty, full] = growthRows(GROWTH);
    expect(empty?.first[0]).toMatchObject({ median: 1 });
    expect(full?.first[0]).toMatchObject({ median: expect.closeTo(0.85), samples: 2 });
    expect(full?.walRatio.median).toBeCloseTo(1.3);
  });
});

describe("the page of the growth", () => {
  it("has a row for each table, and the longest batch", () => {
    const page = growthPage(GROWTH, { command: "bench --growth", commit: "commit `1`" });
    expect(page).toContain("| v7 | 1,000,000 | before | 0.85");
    expect(page).toContain("the longest here: 61.0 ms");
    expect(page).toContain("| 61.0 | 1 of 3 |");
    expect(page).not.toContain("NaN");
    expect(drawWal(GROWTH)).toContain("<title>v7, before: 1300.00</title>");
  });
});

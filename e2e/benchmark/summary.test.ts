import { describe, expect, it } from "vitest";
import type { Slice } from "./rounds.ts";
import { noiseOf, summarise } from "./summary.ts";

const SLICE: Slice = {
  kind: "first",
  connections: 16,
  subject: "advisory",
  round: 1,
  ratio: 0.5,
  cpuRatio: 0.6,
  requests: 100,
  rate: 1_000,
  p50Ms: 1,
  p99Ms: 2,
  serverUs: 400,
  databaseUs: 500,
  loaderUs: 20,
  walBytes: 900,
  noise: 0.01,
};

describe("summarise", () => {
  it("returns one summary for each subject, kind and number of connections", () => {
    const slices: Slice[] = [
      { ...SLICE, ratio: 0.4 },
      { ...SLICE, ratio: 0.6 },
      { ...SLICE, connections: 64, ratio: 0.1 },
      { ...SLICE, kind: "replay" },
      { ...SLICE, subject: "F2", ratio: 1 },
    ];
    const found = summarise(slices).map(({ subject, kind, connections, ratio }) => [
      subject,
      kind,
      connections,
      ratio.median,
    ]);
    expect(found).toEqual([
      ["F2", "first", 16, 1],
      ["advisory", "first", 16, 0.5],
      ["advisory", "first", 64, 0.1],
      ["advisory", "replay", 16, 0.5],
    ]);
  });

  it("leaves out figures that the system does not give", () => {
    const [summary] = summarise([{ ...SLICE, serverUs: undefined }, SLICE]);
    expect(summary?.serverUs).toMatchObject({ median: 400, samples: 1 });
  });
});

describe("noiseOf", () => {
  it("counts the slices in which others used more than 12 % of the CPU", () => {
    const slices = [0.01, 0.12, 0.2, 0.5].map((noise) => ({ ...SLICE, noise }));
    expect(noiseOf(slices)).toEqual({ median: expect.closeTo(0.16), noisySlices: 0.5 });
  });
});

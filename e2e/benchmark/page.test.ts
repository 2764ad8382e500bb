import { describe, expect, it } from "vitest";
import type { Measurement } from "./measurement.ts";
import { drawPictures, pageOf } from "./page.ts";
import type { Slice } from "./rounds.ts";
import { isMet, targetsOf } from "./targets.ts";

const SLICE: Slice = {
  kind: "first",
  connections: 16,
  subject: "F2",
  round: 1,
  ratio: 1,
  cpuRatio: 1,
  requests: 100,
  rate: 2_000,
  p50Ms: 1,
  p99Ms: 2,
  serverUs: 400,
  databaseUs: 300,
  loaderUs: 20,
  walBytes: 181,
  noise: 0.01,
};
const ADVISORY: Slice = {
  ...SLICE,
  subject: "advisory",
  ratio: 0.71,
  rate: 1_420,
  walBytes: 1_066,
};
const MEASUREMENT: Measurement = {
  machine: { cpu: "a CPU", cores: 2, memoryGiB: 8, postgres: "18.4" },
  slices: [SLICE, ADVISORY, { ...ADVISORY, kind: "replay", ratio: 0.1 }],
  storms: [
    {
      aloneMs: 50,
      bareStormMs: 60,
      stormMs: 66,
      quietMs: 2,
      bareBesideMs: 10,
      besideMs: 14,
      connections: 7,
      sharedBesideMs: 4,
      unlimitedBesideMs: 260,
      sharedConnections: 9,
    },
  ],
  counts: [{ subject: "advisory", kind: "first", trips: 3, statements: 6 }],
  skipped: [{ name: "`a-peer`", reason: "it cannot be had" }],
};
const ORIGIN = { command: "npx -y pnpm@12 bench", commit: "commit `1234567890`" };

describe("targetsOf", () => {
  it("holds each target beside what was measured, and only those that were", () => {
    const rows = targetsOf(MEASUREMENT).map((target) => [
      target.what,
      target.value,
      Number(target.measured.median.toFixed(2)),
      isMet(target),
    ]);
    expect(rows).toEqual([
      ["First request × F2, `advisory`, 16 connections", 0.7, 0.71, true],
      ["First request: Postgres CPU, µs, 16 connections", 600, 300, true],
      ["First request: Node CPU, µs, 16 connections", 650, 400, true],
      ["First request: WAL bytes (F2 + body + 350)", 1_066, 1_066, true],
      ["Replay from Postgres × F0, `advisory`, 16 connections", 0.35, 0.1, false],
      ["First request: round trips, `advisory`", 3, 3, true],
      ["64 duplicates × the same 64 to a bare route", 1.2, 1.1, true],
      ["Bystanders × those beside the bare route", 1.3, 1.4, false],
    ]);
  });
});

describe("the page", () => {
  it("names command, commit, machine and what was skipped", () => {
    const page = pageOf(MEASUREMENT, ORIGIN);
    for (const text of [
      ORIGIN.command,
      ORIGIN.commit,
      "a CPU, 8 GiB",
      "`a-peer`: it cannot be had",
    ])
      expect(page).toContain(text);
    expect(page).not.toContain("NaN");
  });

  it("shows what a storm of one scope costs a bystander of another, with its share and without", () => {
    const page = pageOf(MEASUREMENT, ORIGIN);
    expect(page).toContain(
      "a bystander of another scope takes 2.00 (2.00–2.00) times as long as without a storm. Without `maxInFlightPerScope` it would take 130.00 (130.00–130.00).",
    );
    expect(page).toMatch(/the same without `maxInFlightPerScope` +\| 260\.0/);
  });

  it("judges no time and shows no picture if more than a fifth of the slices are noisy", () => {
    const quiet = pageOf(MEASUREMENT, ORIGIN);
    const slices = MEASUREMENT.slices.map((slice) => ({ ...slice, noise: 0.5 }));
    const loaded = pageOf({ ...MEASUREMENT, slices }, ORIGIN);
    expect(quiet).not.toContain("loaded machine");
    expect(quiet).toContain("| 0.71 (0.71–0.71) | yes |");
    expect(quiet).toContain("first-requests.svg");
    expect(loaded).toContain("**Measured on a loaded machine.**");
    expect(loaded).toContain("| 0.71 (0.71–0.71) | not judged |");
    expect(loaded).toContain("| ≤ 3 | 3 (3–3) | yes |");
    expect(loaded).not.toContain(".svg");
  });
});

describe("the pictures", () => {
  it("have a bar for each subject beside the reference, and no background of their own", () => {
    const pictures = drawPictures(MEASUREMENT);
    expect(Object.keys(pictures)).toEqual(["first-requests.svg", "replays-from-the-store.svg"]);
    const [first = ""] = Object.values(pictures);
    expect(first).toContain("<title>advisory: 0.71</title>");
    expect(first).not.toMatch(/NaN|Infinity|#fff|"white"/);
  });
});

import { describe, expect, it } from "vitest";
import type { Slice } from "../rounds.ts";
import type { Floor, PlayedSlice } from "./floor.ts";
import { floorPage, limitsOf } from "./floor-page.ts";
import { scriptOf } from "./record.ts";

const KEY = "0192f0c4-2d6a-7b31-9d5e-0b8f2c7a1e55";
const OWNER = "5f0c1d7e-61c8-4a2f-9f0b-3f6f0f5d2b11";
const LOCK = "-1234567890123456789";

function message(type: string, content: string): { type: string; bytes: Buffer } {
  const bytes = Buffer.from(`${type}\0\0\0\0${content}`, "latin1");
  bytes.writeInt32BE(bytes.length - 1, 1);
  return { type, bytes };
}

function bind(values: readonly string[]): { type: string; bytes: Buffer } {
  const own = values.map((value) => `\0\0\0${String.fromCharCode(value.length)}${value}`).join("");
  return message("B", `\0name\0\0\0\0${String.fromCharCode(values.length)}${own}\0\0`);
}

describe("scriptOf", () => {
  it("cuts a request into its flights, and finds what differs from request to request", () => {
    const sent = [
      bind([KEY, "4200", LOCK]),
      message("E", "\0\0\0\0\0"),
      message("S", ""),
      message("Q", "begin\0"),
      bind([OWNER, KEY]),
      message("E", "\0\0\0\0\0"),
      message("S", ""),
    ];

    const { flights, statements } = scriptOf(sent, [], KEY);

    const slots = flights.map((one) =>
      one.slots.map(({ at, length, kind }) => [
        kind,
        one.bytes.toString("latin1", at, at + length),
      ]),
    );
    expect(slots).toEqual([
      [
        ["key", KEY],
        ["lock", LOCK],
      ],
      [],
      [
        ["owner", OWNER],
        ["key", KEY],
      ],
    ]);
    expect(statements).toBe(3);
  });
});

const SLICE: Slice = {
  kind: "first",
  connections: 64,
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
const PLAYED: PlayedSlice = { ...SLICE, subject: "advisory", sessions: 16, ratio: 0.5 };
const FLOOR: Floor = {
  machine: { cpu: "a CPU", cores: 2, memoryGiB: 8, postgres: "18.4" },
  scripts: [{ subject: "advisory", flights: 3, statements: 6 }],
  played: [PLAYED, { ...PLAYED, sessions: 64, ratio: 0.9 }],
  slices: [
    SLICE,
    { ...SLICE, subject: "bare", ratio: 0.45 },
    { ...SLICE, subject: "advisory", ratio: 0.43 },
  ],
};

describe("limitsOf", () => {
  it("compares 64 callers with as many sessions as their pool has", () => {
    const [limit] = limitsOf(FLOOR);
    expect(limit).toMatchObject({
      what: "First request × F2, `advisory`, 64 connections",
      value: 0.62,
      measured: { median: 0.43 },
      postgres: { median: 0.5 },
      prototype: { median: 0.45 },
    });
  });

  it.each([
    [0.5, "Postgres alone is below it"],
    [0.7, "the bare handler is below it"],
  ])("names the limit that forbids a target if Postgres alone allows %s", (ratio, verdict) => {
    const page = floorPage(
      { ...FLOOR, played: [{ ...PLAYED, ratio }] },
      { command: "", commit: "" },
    );
    expect(page).toContain(`| ${verdict} |`);
  });

  it("judges no row on a loaded machine", () => {
    const page = floorPage(
      { ...FLOOR, slices: FLOOR.slices.map((slice) => ({ ...slice, noise: 0.5 })) },
      { command: "", commit: "" },
    );
    expect(page).toContain("| not judged |");
  });
});

import { isDeep } from "@oncekey/test-support/lanes/depth";
import { describe, expect, it } from "vitest";
import { measureFloor } from "./floor/floor.ts";
import { measure } from "./measurement.ts";
import type { Plan } from "./settings.ts";

const REQUESTS = 6;
const PLAN: Plan = {
  subjects: ["F0", "F2", "advisory"],
  kinds: ["first", "replay", "cached"],
  concurrencies: [2],
  rounds: 2,
  limitMs: Infinity,
  slice: { requests: REQUESTS },
  warmUp: { requests: 2 },
  repeats: 0,
  repeatMs: 0,
  stormRounds: 1,
  ring: 3,
};

describe.runIf(isDeep)("a measurement with a handful of requests (in test:deep)", () => {
  it("has every slice beside its reference, and the counts of the wire", async () => {
    const { slices, counts, storms, machine } = await measure(PLAN, () => {});

    const ways = [
      ["first", ["F2", "advisory"]],
      ["replay", ["F0", "advisory"]],
      ["cached", ["F0", "advisory"]],
    ] as const;
    const expected = ways.flatMap(([kind, subjects]) =>
      subjects.flatMap((subject) => [1, 2].map((round) => `${kind} ${subject} ${round}`)),
    );
    const measured = slices.map(({ kind, subject, round }) => `${kind} ${subject} ${round}`);
    expect(measured.toSorted()).toEqual(expected.toSorted());
    for (const { subject, kind, requests, rate, ratio, p50Ms } of slices) {
      expect(requests).toBe(REQUESTS);
      expect(Math.min(rate, ratio, p50Ms)).toBeGreaterThan(0);
      if (subject === (kind === "first" ? "F2" : "F0")) expect(ratio).toBe(1);
    }

    const trips = Object.fromEntries(
      counts.map((one) => [`${one.subject} ${one.kind}`, one.trips]),
    );
    expect(trips).toMatchObject({ "F2 first": 3, "advisory cached": 0 });
    // 64 duplicates and 15 bystanders never take the last connection of 16.
    expect(storms).toEqual([expect.objectContaining({ connections: expect.any(Number) })]);
    expect(storms[0]?.connections).toBeLessThan(16);
    expect(storms[0]?.sharedConnections).toBeLessThan(16);
    expect(storms[0]?.sharedBesideMs).toBeGreaterThan(0);
    expect(machine.postgres).toMatch(/^1[48]\./);
  });

  it("plays what each server sends for a first request, and stores a record each time", async () => {
    const { scripts, played, slices } = await measureFloor(
      { ...PLAN, subjects: ["F2", "bare", "advisory", "lease"], kinds: ["first"], rounds: 1 },
      () => {},
    );

    expect(scripts.map(({ subject, flights }) => [subject, flights])).toEqual([
      ["F2", 3],
      ["advisory", 3],
      ["lease", 3],
    ]);
    // The reply has 535 bytes, so the log shows that it was stored with each played request.
    for (const { subject, requests, walBytes } of played) {
      expect(requests).toBeGreaterThanOrEqual(REQUESTS);
      if (subject !== "F2") expect(walBytes).toBeGreaterThan(700);
    }
    expect(new Set(slices.map(({ subject }) => subject))).toEqual(
      new Set(["F2", "bare", "advisory", "lease"]),
    );
  });
});

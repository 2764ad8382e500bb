import { validate, version } from "uuid";
import { expect, test, vi } from "vitest";
import { mintKey } from "../../src/options/key.ts";

const timeOf = (key: string): number => Number.parseInt(key.replaceAll("-", "").slice(0, 12), 16);

test("keys are UUIDs of RFC 9562, and no two are the same", () => {
  for (const [option, expected] of [
    ["v7", 7],
    ["v4", 4],
  ] as const) {
    const keys = Array.from({ length: 5_000 }, () => mintKey(option));
    expect(keys.every(validate)).toBe(true);
    expect(new Set(keys.map(version))).toEqual(new Set([expected]));
    expect(new Set(keys).size).toBe(5_000);
    // Every bit that is not fixed is random, those behind the time at the least.
    const letters = keys.map((key) => key.replaceAll("-", "").slice(17));
    for (let index = 0; index < 15; index += 1)
      expect(new Set(letters.map((text) => text.at(index))).size).toBeGreaterThan(1);
  }
});

test("v7 carries the corrected time, from its first millisecond to the year 10889", () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  try {
    for (const now of [0, 1, 65_535, 65_536, 4_294_967_296, 1_795_545_417_721, 2 ** 48 - 1 - 500]) {
      vi.setSystemTime(now);
      expect([timeOf(mintKey("v7")), timeOf(mintKey("v7", 500))]).toEqual([now, now + 500]);
    }
  } finally {
    vi.useRealTimers();
  }
});
